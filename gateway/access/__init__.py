"""Access: the caller of a request, and what the caller may see.

Door: `Access` (access.py), which names the caller of a request by its key, its token or its
session. Roles and scopes are in `caller.py`, keys in `keys.py`, sessions and sign-in codes in
`sessions.py`; the OpenID Connect issuer in `issuer.py`, its tokens in `tokens.py`, the sign-in
there in `oidc.py`.
Begin reading with `caller.py`.
"""

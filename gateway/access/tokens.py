"""Tokens of an issuer: verification (RFC 7519, OpenID Connect Core 3.1.3.7), and who they name.

Algorithms are pinned to signatures with a public key: a token without a signature, or with a MAC
under a key that everybody can read, is none. A key serves the algorithm that it was published for.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt

from gateway.access.caller import Caller, Role
from gateway.access.issuer import Issuer
from gateway.access.keys import PARTIES
from gateway.problems import Problem
from schemas.errors import SettingsError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
LEEWAY_S = 60  # allowed difference between the clocks of the issuer and this host
LONGEST_TOKEN = 16_384
LONGEST_NAME = 255  # a subject has no more (OpenID Connect Core, 2)
NEEDED = ["exp", "iss", "aud", "sub"]
ALL_TENANTS = "*"
CLOCKS = (
    f"if it was issued just now, the clocks of the issuer and this host differ by over {LEEWAY_S} "
    "s: let one time service (NTP, chrony) set both"
)
FAULTS: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: f"it has expired; sign in again, or get another. Else {CLOCKS}",
    jwt.ImmatureSignatureError: f"it is valid from a later instant on ({{error}}); {CLOCKS}",
    jwt.InvalidSignatureError: "its signature isn't the issuer's; get another",
}
UNREADABLE = "it can't be read ({error}); send a JWT of the issuer"
# Of several roles the first one holds: it sees or does the most.
STRONGEST: tuple[Role, ...] = (
    *("admin", "manager", "operator", "auditor", "supplier", "carrier", "customer", "ingest"),
)
CLAIMS = {
    "role": "ordertide_role",
    "tenant": "tenant",
    "customer": "customer_id",
    "supplier": "supplier_id",
    "carrier": "carrier",
    "name": "preferred_username",
}

Claims = Mapping[str, Any]


class Mapped(NamedTuple):
    """Names of the claims, our roles by the issuer's values, and the tenant without a claim."""

    claims: Mapping[str, str]
    roles: Mapping[str, Role]
    tenant: str


def mapped(claims: Mapping[str, str], roles: Mapping[str, str], tenant: str) -> Mapped:
    """The mapping of the settings.

    Raises:
        SettingsError: it names a claim or a role that there isn't.
    """
    for what in claims:
        if what not in CLAIMS:
            raise SettingsError(
                f"oidc.claims.{what}: no claim is read for that; write one of {', '.join(CLAIMS)}"
            )
    known: dict[str, Role] = {role: role for role in STRONGEST}
    for value, role in roles.items():
        if role not in known:
            raise SettingsError(
                f"oidc.roles.{value}: {role!r} is no role; write one of {', '.join(known)}"
            )
    named = {value: known[role] for value, role in roles.items()} or known
    return Mapped({**CLAIMS, **claims}, named, tenant)


async def verified(token: str, issuer: Issuer, audience: str, setting: str) -> Claims:
    """The claims of a token of the issuer for an audience, which the `setting` names.

    Raises:
        Problem: `unauthenticated`, it is none; `issuer_unreachable`.
    """
    if len(token) > LONGEST_TOKEN:
        raise unauthenticated(f"it has over {LONGEST_TOKEN} characters; let it hold fewer claims")
    try:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise unauthenticated(
                f"it is signed with {algorithm!r}; let the issuer sign with one of "
                f"{', '.join(ALGORITHMS)}"
            )
        key = await issuer.key(header.get("kid"), algorithm)
        if key is None:
            raise unauthenticated(
                f"its key {header.get('kid')!r} for {algorithm} is none of {issuer.url}; get a "
                "token of the issuer that oidc.issuer names"
            )
        options: jwt.types.Options = {"require": NEEDED, "enforce_minimum_key_length": True}
        claims: Claims = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            options=options,
            audience=audience,
            issuer=issuer.url,
            leeway=LEEWAY_S,
        )
    except jwt.PyJWTError as error:
        raise unauthenticated(worded(error, token, issuer.url, audience, setting)) from error
    return claims


def unauthenticated(fault: str) -> Problem:
    """The problem of a token that isn't valid."""
    return Problem("unauthenticated", f"token: {fault}")


def worded(error: jwt.PyJWTError, token: str, issuer: str, audience: str, setting: str) -> str:
    """The fault of a token, with the remedy."""
    if isinstance(error, jwt.InvalidAudienceError):
        return (
            f"it is for the audience {claimed(token, 'aud')!r}, and {setting} is {audience!r}; set "
            "one to the other, here or at the issuer"
        )
    if isinstance(error, jwt.InvalidIssuerError):
        held = claimed(token, "iss")
        return f"its issuer is {held!r}, and oidc.issuer is {issuer!r}; set it to exactly that"
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"it has no claim {error.claim!r}; let the issuer add it"
    text = next((text for kind, text in FAULTS.items() if isinstance(error, kind)), UNREADABLE)
    return text.format(error=error)


def claimed(token: str, name: str) -> object:
    """A claim of a token whose signature has been verified, for an error's text."""
    return jwt.decode(token, options={"verify_signature": False}).get(name)


def caller_of(claims: Claims, mapping: Mapped, until_s: int) -> Caller:
    """The caller that the claims of a verified token name, until an instant.

    Raises:
        Problem: `forbidden`, the claims give no role, or no scope; names the setting.
    """
    subject = str(claims["sub"])
    if not 0 < len(subject) <= LONGEST_NAME:
        raise unauthenticated(f"its claim 'sub' has no 1 to {LONGEST_NAME} characters")
    role = role_of(claims, mapping)
    party = ""
    if role in PARTIES:
        party = text_of(claims, mapping, role)
        if not party:
            raise forbidden(mapping, role, f"is missing; role {role} needs {PARTIES[role]}")
    tenant = tenant_of(claims, mapping)
    if party and tenant is None:
        raise forbidden(mapping, "tenant", f"means all tenants; role {role} needs one of its own")
    return Caller(
        key_id=f"oidc:{subject}",
        role=role,
        tenant=tenant,
        party=party,
        name=text_of(claims, mapping, "name")[:LONGEST_NAME] or subject,
        until_s=until_s,
    )


def role_of(claims: Claims, mapping: Mapped) -> Role:
    """The strongest role that the claims give.

    Raises:
        Problem: `forbidden`, they give none.
    """
    held = found(claims, mapping.claims["role"])
    values = held if isinstance(held, list) else [held]
    given = {mapping.roles.get(each) for each in values if isinstance(each, str)}
    for role in STRONGEST:
        if role in given:
            return role
    if held is None:
        raise forbidden(
            mapping, "role", "is missing; let the issuer add it, to the ID token as well"
        )
    known = ", ".join(sorted(mapping.roles))
    raise forbidden(
        mapping, "role", f"holds {held!r}, which is no role; give the user one of {known}"
    )


def tenant_of(claims: Claims, mapping: Mapped) -> str | None:
    """The tenant that the claims give; None is all tenants.

    Raises:
        Problem: `forbidden`, they name none, or several.
    """
    held = found(claims, mapping.claims["tenant"])
    values = held if isinstance(held, list) else [mapping.tenant if held is None else held]
    if len(values) != 1 or not isinstance(values[0], str) or not values[0]:
        raise forbidden(mapping, "tenant", f"holds {held!r}; let it hold the name of one tenant")
    return None if values[0] == ALL_TENANTS else values[0]


def text_of(claims: Claims, mapping: Mapped, what: str) -> str:
    """The text in a claim; "" where it holds none."""
    held = found(claims, mapping.claims[what])
    return held if isinstance(held, str) else ""


def found(claims: Claims, name: str) -> Any:  # noqa: ANN401 - any JSON
    """The claim of a name, or the one that its dots lead to; None where there is none."""
    if name in claims:
        return claims[name]
    held: Any = claims
    for part in name.split("."):
        held = held.get(part) if isinstance(held, dict) else None
    return held


def forbidden(mapping: Mapped, what: str, fault: str) -> Problem:
    """The problem of a claim that gives no access."""
    return Problem(
        "forbidden",
        f"token: its claim {mapping.claims[what]!r} {fault}; oidc.claims.{what} names the claim",
    )

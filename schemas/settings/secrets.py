"""Secrets in settings, and keeping them out of files and output.

A key is a secret by its name (`password`, `sasl.password`, `sasl.oauthbearer.config`), so that a
new one is masked from the beginning. The text before the `@` of an address after a user's name is
masked too, and `secret=…` within a value. A secret in the settings of this process is masked
wherever it appears, as in the text of a client's exception.
"""

import re
from urllib.parse import quote, quote_plus, unquote, urlsplit

WORDS = r"password|passwd|passphrase|pwd|secret|token|credentials?|signature|salt"
SECRET_NAME = re.compile(
    rf"(^|[._-])({WORDS}|authorization|(api|secret|private|access|account|shared)[._-]?key"
    r"|key[._]pem|sasl(\..*)?\.config)$|^act\.secret\."
)
MASK = "***"

# `user:password@host`, behind a scheme or not. A password may hold anything that isn't a space or a
# quote: the last `@` that a host follows ends it. Where the port is no number, the last `@` does.
HOST = r"(?=(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d+)?(?::?\s|[/?#,;\"'<>)\]}]|:?$))"
IN_URL = re.compile(rf"([A-Za-z][\w+.-]*://[^\s:/@\"'<>]*):[^\s\"'<>]*?@{HOST}")
IN_MALFORMED_URL = re.compile(r"(\w*://[^\s:/@\"'<>]*):(?!\*\*\*@)[^\s\"'<>]*@(?=[\w.-]*:)")
IN_ADDRESS = re.compile(rf"((?:^|[\s,;=(\[\"'])[^\s:/@,;=(\[\"'<>]+):(?!//)[^\s\"'<>]+?@{HOST}")
# `secret=…` and `"secret": "…"`, as in a query, a JAAS configuration or a client's dump. `{key}` is
# the place of one.
NAME = rf"[\w.-]*(?:{WORDS}|(?:api|secret|private|access|account)[._-]?key)"
PAIR = re.compile(
    rf"(?i)({NAME}[\"']?\s*(?:=|(?<=[\"'])\s*:)\s*)(?!\{{key\}})(\"[^\"]*\"|'[^']*'|[^\s,;&\"'<>]+)"
)

SHORTEST = 6  # shorter texts would mask half a sentence, and so would these
WORDS_OF_OURS = {"ordertide", "kafka", "redis", "elastic", "elasticsearch", "password", "secret"}
KNOWN: set[str] = set()


def is_secret(key: str) -> bool:
    """Return True if a key of this name (`hot.password`, `x.sasl.password`) is a secret."""
    return SECRET_NAME.search(key.lower()) is not None


def has_password(text: str) -> bool:
    """Return True if `text` holds a password: before a host, or as a parameter."""
    return masked_pattern(text) != text


def masked(key: str, value: object) -> object:
    """The value as it may be shown: a secret as `***`, an address without its password."""
    if is_secret(key):
        return MASK
    match value:
        case str():
            return masked_text(value)
        case dict():
            return {name: masked(f"{key}.{name}", held) for name, held in value.items()}
        case list() | tuple():
            return [masked(key, held) for held in value]
        case _:
            return value


def masked_text(text: str) -> str:
    """Mask passwords in a text: by their form, and those in the settings of this process."""
    for secret in sorted(KNOWN, key=len, reverse=True):
        if secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
    return masked_pattern(text)


def masked_pattern(text: str) -> str:
    """Mask everything in a text that has the form of a password."""
    if "@" in text:
        for pattern in (IN_URL, IN_MALFORMED_URL, IN_ADDRESS):
            text = pattern.sub(rf"\1:{MASK}@", text)
    return PAIR.sub(rf"\1{MASK}", text) if "=" in text or ":" in text else text


def remember_secrets(key: str, value: object) -> None:
    """Mask from now on what is secret in this value of a setting, in whatever text it appears."""
    match value:
        case str() if is_secret(key):
            remember(value)
            for pair in re.split(r"[\s,;&]+", value):
                name, equals, text = pair.partition("=")
                if equals and has_password(pair):
                    remember(text.strip("\"'"))
                    remember(name and text)
        case str() if has_password(value):
            remember(password_in(value))
        case dict():
            for name, held in value.items():
                remember_secrets(f"{key}.{name}", held)
        case list() | tuple():
            for held in value:
                remember_secrets(key, held)


def password_in(address: str) -> str:
    """The password of one address; empty where it has none or isn't one address."""
    try:
        return urlsplit(address if "://" in address else f"//{address}").password or ""
    except ValueError:
        return ""


def remember(secret: str) -> None:
    """Mask a text, also as it stands in an address."""
    forms = {secret, unquote(secret), quote(secret, safe=""), quote_plus(secret)}
    long = {form for form in forms if len(form) >= SHORTEST}
    KNOWN.update(long - WORDS_OF_OURS - {MASK})

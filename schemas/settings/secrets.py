"""Which settings are secrets, and how they are kept out of files and output.

A key is a secret by its name (`password`, `sasl.password`, `api_key`), so that a new one is masked
before anybody thinks of it. A URL with a password in it is a secret as well.
"""

import re
from urllib.parse import parse_qsl, urlsplit, urlunsplit

SECRET_NAME = re.compile(
    r"(^|[._])(password|passphrase|secret|token|(api|secret|private|access)[._]key|key[._]pem)$"
)
MASK = "***"


def is_secret(key: str) -> bool:
    """Is a key of this name (`hot.password`, `broker.properties.sasl.password`) a secret?"""
    return SECRET_NAME.search(key.lower()) is not None


def has_password(text: str) -> bool:
    """Is `text` a URL that holds a password: before the host, or as a parameter?"""
    try:
        parts = urlsplit(text)
        return bool(parts.password) or any(is_secret(name) for name, _ in parse_qsl(parts.query))
    except ValueError:  # no URL, hence none with a password
        return False


def masked(key: str, value: object) -> object:
    """The value as it may be shown: a secret as `***`, a URL without its password."""
    if is_secret(key):
        return MASK
    match value:
        case str():
            return masked_url(value) if has_password(value) else value
        case dict():
            return {name: masked(str(name), held) for name, held in value.items()}
        case list() | tuple():
            return [masked(key, held) for held in value]
        case _:
            return value


def masked_url(url: str) -> str:
    """`redis://user:***@host:6379/0`; parameters go whole, as any of them may be secret."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:{MASK}{at}{host}" if parts.password else parts.netloc
    query = MASK if any(is_secret(name) for name, _ in parse_qsl(parts.query)) else parts.query
    return urlunsplit(parts._replace(netloc=netloc, query=query))

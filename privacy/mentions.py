"""The customers, orders and numbers that bytes mention which can't be read as an event.

A search, not a parser: the bytes may be cut off, escaped, base64, UTF-16 or a form. A name too many
only means that an original is erased which needn't be.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote_to_bytes

from privacy.keystore import subject_of
from privacy.place import Place, number_of

MAX_NAMES = 64  # of a kind: a bomb of names shall not fill the key file
MAX_NAME = 256  # as long as an id can be
BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
NAMED = re.compile(
    r"(?i)(tenant|customer_?id|order_?id|subject|waybill)\s*[=:]\s*(?:\"([^\"]{1,256})\"|([\w.@+-]+))"
)
LISTED = re.compile(r"(?i)references\s*:\s*\{([^}]*)")
REFERENCE = re.compile(r"\"([^\"]+)\"\s*:\s*(\[[^\]]*\]?|\"[^\"]*\")")


def mentions(data: bytes, around: Place) -> list[tuple[str, str]]:
    """(tenant, subject) of all that `data` mentions; `around` is what its headers name."""
    tenants, subjects = {around.tenant: None}, dict[str, None]()
    if around.customer_id or around.order_id or around.number:
        subjects[around.subject] = None
    for text in readings(data):
        for kind, name in islice(names_in(text), 4 * MAX_NAMES):
            if kind == "tenant":
                tenants[name] = None
            else:
                subjects[subject_for(kind, name)] = None
    kept = list(subjects)[:MAX_NAMES]
    return [(tenant, subject) for tenant in list(tenants)[:4] for subject in kept]


def subject_for(kind: str, name: str) -> str:
    """The subject of a name of this kind."""
    if kind == "customer_id":
        return name
    if kind == "order_id":
        return subject_of(order_id=name)
    return subject_of(other=number_of("waybill", name) if kind == "waybill" else name)


def names_in(text: str) -> Iterator[tuple[str, str]]:
    """(kind, name) of what a reading of the bytes names."""
    for found in NAMED.finditer(text):
        kind = found[1].lower().replace("_", "").replace("subject", "orderid")
        yield kind.replace("id", "_id"), found[2] or found[3]
    for block in LISTED.finditer(text):
        for reference in REFERENCE.finditer(block[1]):
            for number in re.findall(r"\"([^\"]+)\"", reference[2]):
                yield "number", number_of(reference[1], number)


def readings(data: bytes) -> Iterator[str]:
    """The bytes as text, without what hides names; and what base64 in them holds."""
    plain = unquote_to_bytes(data).replace(b"\0", b"")
    yield readable(plain)
    for block in islice(BASE64.finditer(plain), MAX_NAMES):
        size = len(block[0]) // 4 * 4
        try:
            yield readable(base64.b64decode(block[0][:size]))
        except binascii.Error:
            continue  # no base64 after all


def readable(data: bytes) -> str:
    """Text without escapes and quotes within quotes; quotes around names are left out."""
    text = data.decode("utf-8", "replace")
    text = ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), text)
    text = text.replace("\\", "").replace("'", '"')
    return re.sub(
        r"\"(tenant|customer_?id|order_?id|subject|waybill|references)\"",
        r"\1",
        text,
        flags=re.IGNORECASE,
    )

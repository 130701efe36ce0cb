"""The search before an erasure: no record stops it."""

import pytest

from privacy.keys import MemoryKeyStore
from privacy.originals import seal_rejected
from privacy.search import Search

CUT_OFF = b'{"customer_id": "ada", "personal": {"name": "Ada Lovelace"}'
ALIKE = {
    "no text": b'{"sealed_original":1,"customer_id":"ada"}',
    "no key": b'{"sealed_original":"x","customer_id":"ada"}',
    "no base64": b'{"sealed_original":"x","key":"1","customer_id":"ada"}',
    "cut off": b'{"sealed_original":"x","customer_id":"ada"',
}


@pytest.mark.parametrize("data", ALIKE.values(), ids=ALIKE)
def test_what_only_looks_like_a_sealed_original_stops_no_search(data: bytes) -> None:
    keystore = MemoryKeyStore()
    search = Search("default", "ada", keystore)
    search.original("events.rejected", data, ())
    search.original("events.rejected", seal_rejected(CUT_OFF, keystore), ())
    found = search.at("events.rejected")
    assert (found.records, found.sealed, found.clear) == (1, 1, 0)

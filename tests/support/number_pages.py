"""Pages of numbers as a base of the resolver has them: to read one, and to build a damaged one.

A page is a sequence of records: 12 bytes hash, 4 bytes size of the rest (little-endian), the rest.
"""

from collections.abc import Iterator

SIZE_AT, HEAD_BYTES = 12, 16


def records(page: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(hash, record) of a page."""
    while page:
        end = HEAD_BYTES + int.from_bytes(page[SIZE_AT:HEAD_BYTES], "little")
        yield page[:SIZE_AT], page[HEAD_BYTES:end]
        page = page[end:]


def page_of(found: Iterator[tuple[bytes, bytes]] | list[tuple[bytes, bytes]]) -> bytes:
    """The page of some records."""
    return b"".join([key + len(record).to_bytes(4, "little") + record for key, record in found])

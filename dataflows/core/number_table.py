"""Small records by hash, packed: no object and no dict entry for each, but pages of some of them.

A page is one `bytes` object with its records one after another, so that a record costs its own
bytes and three or four more; as a key and a value in a dict it was 110 more. Pages grow by linear
hashing (Litwin, VLDB 1980): when there are too many records for the pages, the page whose turn it
is, and only that one, is shared out to itself and a new page at the end. So no insertion ever has
to wait for a table to double.

A record: 12 bytes hash, 4 bytes size of the rest, the rest.
"""

from collections.abc import Iterator
from struct import Struct, error

HASH_BYTES = 12
PLACE_BYTES = 4  # of the hash: say in which page it lies
SIZE = Struct("<I")
HEAD_BYTES = HASH_BYTES + SIZE.size
# Twice as many save 2 bytes a record; but a look-up passes over half a page, 80 ns a record.
RECORDS_A_PAGE = 16


class NumberTable:
    """Records (bytes, never empty) by 12-byte hash."""

    def __init__(self) -> None:
        """No records."""
        self.pages = [b""]
        self.count = 0
        self.width = 1  # the largest power of 2 that is no more than the pages

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """(hash, record) of all, in no order that means anything."""
        for page in self.pages:
            yield from records(page)

    def get(self, key: bytes) -> bytes:
        """The record of a hash; empty if there is none."""
        page = self.pages[self.page_of(place_of(key))]
        start = find(page, key)
        return page[start + HEAD_BYTES : end_of(page, start)] if start >= 0 else b""

    def at(self, place: int) -> list[tuple[bytes, bytes]]:
        """(hash, record) of those whose hash begins with `place`, mostly one."""
        page = self.pages[self.page_of(place)]
        return [found for found in records(page) if place_of(found[0]) == place]

    def put(self, key: bytes, record: bytes) -> bool:
        """Keep a record instead of the one before, none (empty) to drop it; True for a new key."""
        index = self.page_of(place_of(key))
        page = self.pages[index]
        start = find(page, key)
        is_new = start < 0
        before, after = (page, b"") if is_new else (page[:start], page[end_of(page, start) :])
        mine = key + SIZE.pack(len(record)) + record if record else b""
        self.pages[index] = before + mine + after
        self.count += bool(record) - (not is_new)
        if self.count > RECORDS_A_PAGE * len(self.pages):
            self.split()
        return is_new and bool(record)

    def page_of(self, place: int) -> int:
        """The index of a page."""
        index = place & (2 * self.width - 1)
        return index if index < len(self.pages) else place & (self.width - 1)

    def split(self) -> None:
        """Share out the page whose turn it is."""
        index = len(self.pages) - self.width
        stays: list[bytes] = []
        goes: list[bytes] = []
        for key, record in records(self.pages[index]):
            part = goes if place_of(key) & self.width else stays
            part += (key, SIZE.pack(len(record)), record)
        self.pages[index] = b"".join(stays)
        self.pages.append(b"".join(goes))
        if len(self.pages) == 2 * self.width:
            self.width *= 2

    def restore(self, pages: list[bytes], count: int) -> int:
        """Take the pages of another table with so many records; return how many are missing.

        Of a damaged page the whole records are kept that lie before the damage: with the rest,
        any later change of the page would raise.
        """
        self.pages = list(pages)
        self.width = 1 << (len(pages).bit_length() - 1)
        held = 0
        for index, page in enumerate(pages):
            number, end = count_whole(page)
            held += number
            if end < len(page):
                self.pages[index] = page[:end]
        self.count = held
        return count - held


def place_of(key: bytes) -> int:
    """The part of a hash that says where it lies, 0 to 2^32 - 1."""
    return int.from_bytes(key[:PLACE_BYTES], "little")


def end_of(page: bytes, start: int) -> int:
    """Where the record ends that begins at `start`."""
    (size,) = SIZE.unpack_from(page, start + HASH_BYTES)
    return start + HEAD_BYTES + int(size)


def count_whole(page: bytes) -> tuple[int, int]:
    """(number of whole records, where the last of them ends) of a page."""
    count = end = 0
    size_at, length = SIZE.unpack_from, len(page)
    try:
        while end < length:
            after = end + HEAD_BYTES + size_at(page, end + HASH_BYTES)[0]
            if after > length:
                break
            end = after
            count += 1
    except error:  # cut off within a head
        pass
    return count, end


def find(page: bytes, key: bytes) -> int:
    """Where the record of a hash begins; -1 if there is none.

    The same bytes can stand inside a record, by chance or by a sender who wants it: only where a
    record begins they count.
    """
    start, at = 0, page.find(key)
    size_at = SIZE.unpack_from
    while at >= 0:
        while start < at:  # `end_of`, which takes twice as long as a call
            start += HEAD_BYTES + size_at(page, start + HASH_BYTES)[0]
        if start == at:
            return start
        at = page.find(key, start)
    return -1


def records(page: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(hash, record) of a page."""
    start = 0
    while start < len(page):
        end = end_of(page, start)
        yield page[start : start + HASH_BYTES], page[start + HEAD_BYTES : end]
        start = end

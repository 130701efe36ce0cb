"""Which order keys a file may hold: a Bloom filter (Bloom 1970; double hashing: Kirsch 2006).

Every file of a partition spans the whole range of keys, so the least and the greatest key rule out
next to nothing. Ten bits a key rule out 99 files of 100 that don't hold it.
"""

from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator
from hashlib import blake2b

BITS_PER_KEY = 10
PROBES = 7
DIGEST_BYTES = 16


def make_filter(keys: Collection[str]) -> str:
    """The filter for these keys, in base64."""
    return filter_of([digest_of(key) for key in keys])


def digest_of(key: str) -> bytes:
    """The part of a key that a filter needs."""
    return blake2b(key.encode(), digest_size=DIGEST_BYTES).digest()


def filter_of(digests: Collection[bytes]) -> str:
    """The filter for the distinct keys with these digests, in base64."""
    bits = bytearray(max(1, (len(digests) * BITS_PER_KEY + 7) // 8))
    for digest in digests:
        for place in _places(digest, len(bits) * 8):
            bits[place >> 3] |= 1 << (place & 7)
    return b64encode(bits).decode()


def may_hold(key_filter: str, key: str) -> bool:
    """False: the key is not in the set. True: it is, or (1 in 100) it is not."""
    size_bytes = len(key_filter) // 4 * 3 - key_filter.count("=", -2)
    return all(
        _byte_at(key_filter, place >> 3) >> (place & 7) & 1
        for place in _places(digest_of(key), size_bytes * 8)
    )


def _byte_at(text: str, place: int) -> int:
    """A byte of base64: a filter has some kB, and the first bits mostly decide."""
    four, at = divmod(place, 3)
    return b64decode(text[4 * four : 4 * four + 4])[at]


def _places(digest: bytes, size_bits: int) -> Iterator[int]:
    first = int.from_bytes(digest[:8], "little")
    step = int.from_bytes(digest[8:], "little") | 1
    return ((first + probe * step) % size_bits for probe in range(PROBES))

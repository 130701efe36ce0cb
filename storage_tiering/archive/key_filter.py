"""Which order keys a file may hold: a Bloom filter (Bloom 1970; double hashing: Kirsch 2006).

Every file of a partition spans the whole range of keys, so the least and the greatest key rule out
next to nothing. Ten bits a key rule out 99 files of 100 that don't hold it.
"""

from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator
from hashlib import blake2b

BITS_PER_KEY = 10
PROBES = 7


def make_filter(keys: Collection[str]) -> str:
    """The filter for these keys, in base64."""
    bits = bytearray(max(1, (len(keys) * BITS_PER_KEY + 7) // 8))
    for key in keys:
        for place in _places(key, len(bits) * 8):
            bits[place >> 3] |= 1 << (place & 7)
    return b64encode(bits).decode()


def may_hold(key_filter: str, key: str) -> bool:
    """False: the key is not in the set. True: it is, or (1 in 100) it is not."""
    bits = b64decode(key_filter)
    return all(bits[place >> 3] >> (place & 7) & 1 for place in _places(key, len(bits) * 8))


def _places(key: str, size_bits: int) -> Iterator[int]:
    digest = blake2b(key.encode(), digest_size=16).digest()
    first = int.from_bytes(digest[:8], "little")
    step = int.from_bytes(digest[8:], "little") | 1
    return ((first + probe * step) % size_bits for probe in range(PROBES))

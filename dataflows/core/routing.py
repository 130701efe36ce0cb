"""Which shard owns what.

The names are chosen so that bytewax (SipHash-1-3 of the name, modulo the workers) gives shard i to
worker i mod n for every n from 1 to 16: all of them are loaded evenly. The names and the count are
part of the stored state; never change them.
"""

from dataflows.core import compiled

SHARDS = [
    "s00-010md",
    "s01-0by5s",
    "s02-0b0fc",
    "s03-06bqm",
    "s04-0acc8",
    "s05-00rxb",
    "s06-03h84",
    "s07-0lkq3",
    "s08-0antw",
    "s09-07iq6",
    "s10-04ird",
    "s11-08wa2",
    "s12-02669",
    "s13-0wobo",
    "s14-023ac",
    "s15-01ij8",
    "s16-00gyh",
    "s17-0s1uq",
    "s18-0xncs",
    "s19-0bt7j",
    "s20-1h7yi",
    "s21-02ru6",
    "s22-0ept9",
    "s23-02ev4",
    "s24-009x8",
    "s25-0lrq8",
    "s26-03cru",
    "s27-01ux8",
    "s28-06cm7",
    "s29-0gvln",
    "s30-0cgqg",
    "s31-0dwes",
    "s32-0lgev",
    "s33-0omsa",
    "s34-033me",
    "s35-016fi",
    "s36-08hji",
    "s37-0143t",
    "s38-0kky3",
    "s39-04zl9",
    "s40-2uqyh",
    "s41-05q24",
    "s42-0mc8w",
    "s43-0kha1",
    "s44-01vam",
    "s45-09hbi",
    "s46-09ney",
    "s47-03527",
    "s48-0c06g",
    "s49-0z2d3",
    "s50-0gsa8",
    "s51-0kgi6",
    "s52-0cxj6",
    "s53-0ff84",
    "s54-03l69",
    "s55-0cq9v",
    "s56-04f6n",
    "s57-0qkf7",
    "s58-2nm54",
    "s59-0atci",
    "s60-02gm3",
    "s61-05tt9",
    "s62-1rqc6",
    "s63-0l4ro",
]


def shard_of(key: str) -> int:
    """The shard (0-63) of an order key or a number key: blake2b, as `hash()` differs by process."""
    return compiled.shard_of(key, len(SHARDS))

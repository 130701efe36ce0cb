"""Frames: damage is seen wherever it is, and what older versions wrote can still be read."""

import pytest

from dataflows.core.routing import SHARDS
from dataflows.state.local.frame import FORMAT, FrameIdentity, Upgrade, compress, frame, unframe
from schemas.errors import StateError

SHARD = SHARDS[7]
PLACE = FrameIdentity("0123456789abcdef", SHARD, 17, "42caf699")
LONG, SHORT = b"order " * 1_000, b"an order"


@pytest.mark.parametrize("blob", [LONG, SHORT])
def test_every_flipped_bit_is_seen(blob: bytes) -> None:
    stored = frame(*compress(blob), PLACE)
    assert unframe(stored, PLACE) == blob
    for bit in range(8 * len(stored)):
        flipped = bytearray(stored)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StateError, match=f"shard {SHARD}, blob 17: "):
            unframe(bytes(flipped), PLACE)


@pytest.mark.parametrize(
    "other",
    [
        PLACE._replace(store="fedcba9876543210"),
        PLACE._replace(shard=SHARDS[8]),
        PLACE._replace(sequence=18),
        PLACE._replace(name="other"),
    ],
)
def test_a_whole_blob_in_a_wrong_place_is_damage(other: FrameIdentity) -> None:
    with pytest.raises(StateError, match="checksum differs"):
        unframe(frame(*compress(LONG), PLACE), other)


def test_versions_are_brought_up_one_by_one() -> None:
    def said(text: bytes) -> Upgrade:
        return lambda _, blob: blob + text

    upgrades = {FORMAT: said(b", then"), FORMAT + 1: said(b", at last")}
    stored = frame(*compress(SHORT), PLACE)
    found = unframe(stored, PLACE, upgrades, FORMAT + 2)
    assert found == SHORT + b", then, at last"


@pytest.mark.parametrize("version", [0, FORMAT + 1, 255])
def test_a_version_from_nowhere_is_refused_with_the_way_out(version: int) -> None:
    stored = bytes((version,)) + frame(*compress(LONG), PLACE)[1:]
    with pytest.raises(StateError, match=f"stored in format {version}, .* use the version that"):
        unframe(stored, PLACE)


def test_a_version_with_a_gap_behind_it_is_refused() -> None:
    with pytest.raises(StateError, match=f"this version reads format {FORMAT + 2}"):
        unframe(
            frame(*compress(LONG), PLACE), PLACE, {FORMAT + 1: lambda _, blob: blob}, FORMAT + 2
        )

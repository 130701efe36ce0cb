"""The lifecycle table: the shipped one is sound, and every fault of another is named."""

import pytest

from dataflows.core.lifecycle import Lifecycle, LifecycleFile, MovesOrder, StatusRow
from dataflows.core.lifecycle_check import check
from dataflows.definition_files import read_lifecycle

LABEL = {"en": "x", "zh": "某"}
HEAD = 'version = 1\nname = "orders"\n'


def row(code: str, **fields: object) -> StatusRow:
    return StatusRow(**{"code": code, "label": LABEL, "scope": "order", **fields})  # type: ignore[arg-type]  # a test's shorthand


NEW = row("NEW", creates=True, next=["DONE"])
DONE = row("DONE", ends=True)
PARCEL = row("PARCEL", scope="shipment", ends=True)
TO_PARCEL = MovesOrder("PARCEL", "any")
UNTIL_ANY = MovesOrder("DONE", "any", until_all="DONE")
UNTIL_PARCEL = MovesOrder("DONE", "all", until_all="PARCEL")


def test_the_shipped_table_passes() -> None:
    table = read_lifecycle()
    assert check(table.rows) == []
    assert len(table.codes) == 30


def test_the_shipped_table_has_labels_in_english_and_chinese() -> None:
    labels = {row.code: row.label for row in read_lifecycle().rows}
    assert [labels[code]["zh"] for code in ("PENDING_PAYMENT", "PAID", "ALLOCATED")] == [
        *("待支付", "已支付", "配货中")
    ]
    assert all(label.keys() >= {"en", "zh"} for label in labels.values())


def test_every_status_that_ends_for_good_leaves_memory() -> None:
    rows = {row.code: row for row in read_lifecycle().rows}
    for code in ("DELIVERED", "COMPLETED", "CANCELLED", "RETURNED", "REFUNDED", "EXCHANGED"):
        assert rows[code].ends
        assert rows[code].retire_after


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([NEW, DONE, row("ISLAND", next=["DONE"])], "ISLAND: it can't be reached"),
        (
            [NEW, row("STUCK"), DONE, row("NEW2", creates=True, next=["STUCK"])],
            "STUCK: it has no",
        ),
        ([NEW, row("DONE", ends=True, label={"en": "Done"})], "DONE: label: zh is missing"),
        ([NEW, row("DONE", ends=True, label={"zh": "完"})], "DONE: label: en is missing"),
        ([NEW, row("DONE", ends=True, label={"en": "", "zh": "完"})], "DONE: label: en is missing"),
        ([row("NEW", creates=True, next=["GONE"]), DONE], "NEW: next: GONE is not in the table"),
        (
            [row("NEW", creates=True, next=["DONE"], irregular=["X"]), DONE],
            "NEW: irregular: X is",
        ),
        ([NEW, DONE, DONE], "DONE: this code is there twice"),
        ([row("NEW", next=["DONE"]), DONE], "no status has creates = true"),
        (
            [NEW, DONE, row("P", scope="shipment", creates=True, ends=True)],
            "P: creates: only a",
        ),
        ([row("NEW", creates=True, next=["DONE"], retire_after="1d"), DONE], "NEW: retire_after"),
        ([NEW, row("DONE", ends=True, retire_after="soon")], "DONE: retire_after: 'soon' is no"),
        (
            [NEW, DONE, PARCEL, row("Q", scope="shipment", ends=True, moves_order=TO_PARCEL)],
            "Q: moves_order: PARCEL is no status of orders",
        ),
        (
            [NEW, DONE, row("Q", scope="shipment", ends=True, moves_order=UNTIL_ANY)],
            'Q: moves_order: until_all goes with when = "all" only',
        ),
        (
            [NEW, DONE, PARCEL, row("Q", scope="shipment", ends=True, moves_order=UNTIL_PARCEL)],
            "Q: moves_order: PARCEL is no status of orders",
        ),
    ],
)
def test_each_fault_is_named(rows: list[StatusRow], fault: str) -> None:
    found = named(rows)
    assert any(fault in text for text in found), found


def named(rows: list[StatusRow]) -> list[str]:
    """Faults of rows, each behind its code and column."""
    return [
        ": ".join([*(rows[int(n)].code for n in place[1:2]), *map(str, place[2:]), text])
        for place, text in check(rows)
    ]


def test_rank_is_the_place_in_the_file() -> None:
    table = read_lifecycle()
    assert table.index["PENDING_PAYMENT"] < table.index["PAID"] < table.index["DELIVERED"]
    assert [table.index[code] for code in table.codes] == list(range(len(table.codes)))


def test_steps_can_be_skipped_and_irregular_ways_are_apart() -> None:
    table = read_lifecycle()
    ways, index = table.order_ways, table.index
    assert index["DELIVERED"] in ways.regular[index["PENDING_PAYMENT"]]
    assert index["SHIPPED"] not in ways.regular[index["CANCELLED"]]
    assert index["SHIPPED"] in ways.every[index["CANCELLED"]]
    assert index["SHIPPED"] not in ways.every[index["DELIVERED"]]


def test_another_table_has_another_digest() -> None:
    def digest(*rows: StatusRow) -> str:
        return Lifecycle(LifecycleFile(1, "x", [*rows])).digest

    assert digest(NEW, DONE) == digest(NEW, DONE)
    assert digest(NEW, DONE) != digest(NEW, row("DONE", ends=True, logistics=True))

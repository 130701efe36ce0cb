"""The lifecycle table: the shipped one is sound, and every fault of another is named."""

import pytest

from dataflows.core.lifecycle import (
    MAX_STATUSES,
    Lifecycle,
    LifecycleFile,
    MovesOrder,
    StatusRow,
    check,
    parse_lifecycle,
)
from dataflows.core.resolve import FORGET_AFTER_MS, FORGET_UNUSED_AFTER_MS
from dataflows.definition_files import read_lifecycle
from schemas.errors import SettingsError

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
        ([NEW, DONE, row("ISLAND", next=["DONE"])], "ISLAND can't be reached"),
        ([NEW, row("STUCK"), DONE, row("NEW2", creates=True, next=["STUCK"])], "STUCK has no way"),
        ([NEW, row("DONE", ends=True, label={"en": "Done"})], "DONE: label.zh is missing"),
        ([NEW, row("DONE", ends=True, label={"zh": "完"})], "DONE: label.en is missing"),
        ([NEW, row("DONE", ends=True, label={"en": "", "zh": "完"})], "DONE: label.en is missing"),
        ([row("NEW", creates=True, next=["GONE"]), DONE], "NEW: GONE is not in the table"),
        ([row("NEW", creates=True, next=["DONE"], irregular=["X"]), DONE], "NEW: X is not in"),
        ([NEW, DONE, DONE], "status DONE is there twice"),
        ([row("NEW", next=["DONE"]), DONE], "no status has creates = true"),
        ([NEW, DONE, row("P", scope="shipment", creates=True, ends=True)], "P: only a status of"),
        ([row("NEW", creates=True, next=["DONE"], retire_after="1d"), DONE], "NEW: retire_after"),
        ([NEW, row("DONE", ends=True, retire_after="soon")], "DONE.retire_after: 'soon' is no"),
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
    assert any(fault in found for found in check(rows)), check(rows)


def test_a_status_that_only_a_parcel_leads_to_can_be_reached() -> None:
    parcel = row("PICKED", scope="shipment", ends=True, moves_order=MovesOrder("SENT", "any"))
    as_rows = parse_lifecycle(
        HEAD + "".join(map(text_of, [NEW, DONE, row("SENT", ends=True)])) + text_of(parcel), "t"
    )
    assert as_rows.codes == ["NEW", "DONE", "SENT", "PICKED"]


def text_of(one: StatusRow) -> str:
    """A row as it is written in the file."""
    lines = [f'[[status]]\ncode = "{one.code}"\nscope = "{one.scope}"']
    lines.append('label = {en = "x", zh = "某"}')
    lines.append(f"next = {list(one.next)}")
    lines += [f"{name} = true" for name in ("creates", "ends") if getattr(one, name)]
    if one.moves_order:
        lines.append('moves_order = {status = "SENT", when = "any"}')
    return "\n".join(lines) + "\n"


def test_all_faults_of_a_file_are_told_at_once() -> None:
    text = HEAD + text_of(row("NEW", next=["GONE"])) + text_of(row("NEW", next=["LOST"]))
    with pytest.raises(SettingsError) as caught:
        parse_lifecycle(text, "own.toml")
    assert str(caught.value) == (
        "own.toml: status NEW is there twice; no status has creates = true, so no order could "
        "ever start; NEW: GONE is not in the table; NEW: LOST is not in the table"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("version = 2\nname = 'x'\nstatus = []", "2"),
        ("version = 1\nname = 'x'\nstatus = [{kode = 'A'}]", "kode"),
        ("version = 1\nname = 'x'\nstatus = [{code = 'A'}]", "label"),
        ("version = 1\nname = \n", "line 2"),
        (HEAD + text_of(NEW) + text_of(DONE) + 'retire_after = "soon"', "'soon' is no duration"),
    ],
)
def test_a_file_that_is_no_lifecycle_is_refused_with_its_name(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=r"^own\.toml: ") as caught:
        parse_lifecycle(text, "own.toml")
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["forget_numbers_after", "forget_unused_numbers_after"])
@pytest.mark.parametrize("after", ["36h", "0d", "0s", "soon"])
def test_numbers_are_forgotten_after_whole_days(after: str, name: str) -> None:
    table = text_of(NEW) + text_of(DONE)
    numbers = parse_lifecycle(HEAD + table, "own.toml").numbers
    assert numbers.forget_after_ms == FORGET_AFTER_MS
    assert numbers.forget_unused_after_ms == FORGET_UNUSED_AFTER_MS
    own = f'{HEAD}{name} = "{after}"\n{table}'
    with pytest.raises(SettingsError, match=rf"^own\.toml: {name}: "):
        parse_lifecycle(own, "own.toml")


def test_too_many_statuses_are_refused() -> None:
    rows = [NEW, DONE, *(row(f"S{n}", creates=True, ends=True) for n in range(MAX_STATUSES))]
    assert f"{len(rows)} statuses; at most {MAX_STATUSES} are possible" in check(rows)


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

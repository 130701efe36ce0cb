"""Writes lifecycle.toml and rules.toml: the same eight steps on each of four legs.

Run `python -m examples.cargo2000.tables` after a change.
"""

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Name(NamedTuple):
    """Names of a leg or a step for people."""

    en: str
    zh: str


LEGS = {
    "I1": Name("Inbound 1", "进港一"),
    "I2": Name("Inbound 2", "进港二"),
    "I3": Name("Inbound 3", "进港三"),
    "O": Name("Outbound", "出港"),
}
STEPS = {
    "RCS": Name("received from shipper", "收货"),
    "DEP_1": Name("departed, flight 1", "第一程起飞"),
    "RCF_1": Name("received from flight 1", "第一程到达"),
    "DEP_2": Name("departed, flight 2", "第二程起飞"),
    "RCF_2": Name("received from flight 2", "第二程到达"),
    "DEP_3": Name("departed, flight 3", "第三程起飞"),
    "RCF_3": Name("received from flight 3", "第三程到达"),
    "DLV": Name("delivered", "交付"),
}
NEXT = {
    "RCS": ["DEP_1"],
    "DEP_1": ["RCF_1"],
    "RCF_1": ["DEP_2", "DLV"],
    "DEP_2": ["RCF_2"],
    "RCF_2": ["DEP_3", "DLV"],
    "DEP_3": ["RCF_3"],
    "RCF_3": ["DLV"],
    "DLV": [],
}
MOVES = {"I1_RCS": "INBOUND", "I2_RCS": "INBOUND", "I3_RCS": "INBOUND"} | {
    "O_RCS": "OUTBOUND",
    "O_DLV": "DELIVERED",
}
OUTBOUND_STEPS = {f"O_{step}" for step in STEPS if step != "RCS"}

LIFECYCLE_HEAD = """\
# The lifecycle of a Cargo 2000 process: up to three inbound legs fly side by side to a hub, where
# the freight is consolidated and flown on. A leg is a shipment (i1, i2, i3, o); RCS, DEP, RCF and
# DLV are the milestones of the Cargo 2000 standard. Written by tables.py: change it there.
version = 1
name = "cargo2000"

[[status]]
code = "BOOKED"
label = {en = "Booked", zh = "已订舱"}
scope = "order"
creates = true
next = ["INBOUND"]

[[status]]
code = "INBOUND"
label = {en = "On the way to the hub", zh = "进港中"}
scope = "order"
next = ["OUTBOUND"]

[[status]]
code = "OUTBOUND"
label = {en = "On the way from the hub", zh = "出港中"}
scope = "order"
next = ["DELIVERED"]

[[status]]
code = "DELIVERED"
label = {en = "Delivered", zh = "已交付"}
scope = "order"
ends = true
retire_after = "30d"
"""

RULES_HEAD = """\
# The rules of the Cargo 2000 example: late end to end, and each activity later than planned.
# Written by tables.py: change it there.
version = 1

[[rule]]
id = "late_end_to_end"
label = {en = "Late end to end", zh = "全程延误"}
statuses = ["BOOKED", "INBOUND", "OUTBOUND"]
anchor = "planned DELIVERED"
unless_reached = "DELIVERED"
severity = "overdue"
"""


def lifecycle() -> str:
    """The text of lifecycle.toml."""
    rows = [status_row(leg, step) for leg in LEGS for step in STEPS]
    return "\n".join([LIFECYCLE_HEAD, *rows])


def status_row(leg: str, step: str) -> str:
    """The row of a step on a leg."""
    code = f"{leg}_{step}"
    lines = [
        "[[status]]",
        f'code = "{code}"',
        label(leg, step),
        'scope = "shipment"',
        "logistics = true",
    ]
    if NEXT[step]:
        lines.append("next = [" + ", ".join(f'"{leg}_{after}"' for after in NEXT[step]) + "]")
    if code in MOVES:
        lines.append(f'moves_order = {{status = "{MOVES[code]}", when = "any"}}')
    if step == "DLV":
        lines.append("ends = true")
    return "\n".join([*lines, ""])


def rules() -> str:
    """The text of rules.toml."""
    return "\n".join([RULES_HEAD, *(rule_row(leg, step) for leg in LEGS for step in STEPS)])


def rule_row(leg: str, step: str) -> str:
    """Rule for a step on a leg, in force while the step is under way.

    A leg is known from its first milestone on: RCS is watched on the order, the steps that follow
    on the leg, in the status before them.
    """
    code = f"{leg}_{step}"
    before = [f'"{leg}_{earlier}"' for earlier, after in NEXT.items() if step in after]
    lines = [
        "[[rule]]",
        f'id = "late_{code.lower()}"',
        label(leg, step, ", late", "，延误"),
        *(['per = "shipment"'] if before else []),
        f"statuses = [{statuses(code)}]",
        *([f"shipment_statuses = [{', '.join(before)}]"] if before else []),
        f'anchor = "planned {code}"',
        f'unless_reached = "{code}"',
        'severity = "warning"',
        "",
    ]
    return "\n".join(lines)


def statuses(code: str) -> str:
    """Statuses of an order while this step is under way."""
    if code in {"I1_RCS", "I2_RCS", "I3_RCS"}:
        return '"BOOKED", "INBOUND"'
    return '"OUTBOUND"' if code in OUTBOUND_STEPS else '"INBOUND"'


def label(leg: str, step: str, en: str = "", zh: str = "") -> str:
    """The label line of a step on a leg."""
    name, did = LEGS[leg], STEPS[step]
    return f'label = {{en = "{name.en}: {did.en}{en}", zh = "{name.zh}：{did.zh}{zh}"}}'


def main() -> None:
    """Write both files beside this one."""
    (FOLDER / "lifecycle.toml").write_text(lifecycle(), encoding="utf-8")
    (FOLDER / "rules.toml").write_text(rules(), encoding="utf-8")


if __name__ == "__main__":
    main()

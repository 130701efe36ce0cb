"""Findings of the doctor, and the runner of its checks."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from broker.clients import opened
from broker.errors import worded
from broker.interrupts import STOPPING
from schemas.display import printable
from schemas.settings.model import Settings
from schemas.settings.secrets import masked_text

# Takes half a second (`broker.interrupts.GRACE_S`), and more where the machine is busy.
INTERRUPTED_WITHIN_S = 2.0

Level = Literal["ok", "warning", "problem"]


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at: how it is, and what to do where it isn't well."""

    subject: str
    level: Level
    found: str
    advice: str = ""


class Report(msgspec.Struct, frozen=True):
    """The findings on one part: this host, or one server."""

    part: str
    findings: list[Finding]


class Visit(msgspec.Struct, frozen=True):
    """Context of a check. `probe` allows it to write, and to remove it again."""

    settings: Settings
    timeout_s: float
    probe: bool = False


Examination = Callable[[Visit], Iterable[Finding]]


def finding(subject: str, level: Level, found: str, advice: str = "") -> Finding:
    """A finding as it may be shown: the texts of servers and clients without passwords."""
    subject, found, advice = (printable(masked_text(text)) for text in (subject, found, advice))
    return Finding(subject, level, found, advice)


def ok(subject: str, found: str) -> Finding:
    """All is well."""
    return finding(subject, "ok", found)


def warning(subject: str, found: str, advice: str) -> Finding:
    """It runs, and may not for long."""
    return finding(subject, "warning", found, advice)


def problem(subject: str, found: str, advice: str) -> Finding:
    """It can't run like this."""
    return finding(subject, "problem", found, advice)


def examine_all(
    examinations: Mapping[str, Examination], visit: Visit, patience_s: float
) -> Iterator[Report]:
    """Run all examinations at once; what has not ended after `patience_s` is a problem itself."""
    running: list[Running] = []
    end_s = time.monotonic() + patience_s
    try:
        running.extend(Running(part, each, visit) for part, each in examinations.items())
        for each in running:
            yield each.report(end_s)
    except KeyboardInterrupt:
        STOPPING.set()  # requests to the broker are given up, and their clients closed
        end_s = time.monotonic() + INTERRUPTED_WITHIN_S
        while opened() and time.monotonic() < end_s:
            # No join: interrupted, Python 3.11 takes a thread for ended (bpo-45274).
            time.sleep(0.02)
        raise


class Running:
    """An examination in a thread of its own, which may never end."""

    def __init__(self, part: str, examination: Examination, visit: Visit) -> None:
        self.part = part
        self.findings: list[Finding] = []
        # A daemon: a client that hangs in its library must not keep the command from ending.
        self.thread = threading.Thread(
            target=self._examine, args=(examination, visit), name=f"doctor-{part}", daemon=True
        )
        self.thread.start()

    def _examine(self, examination: Examination, visit: Visit) -> None:
        try:
            for finding in examination(visit):
                self.findings.append(finding)
        except Exception as error:  # noqa: BLE001 - that a check failed is what we have to report
            said = f"the check failed: {type(error).__name__}: {worded(error)}"
            self.findings.append(
                problem("examination", said, "this is a fault of ours: please report it")
            )

    def report(self, end_s: float) -> Report:
        """Findings made by `end_s` on the monotonic clock."""
        self.thread.join(max(0.0, end_s - time.monotonic()))
        findings = list(self.findings)
        if self.thread.is_alive():
            advice = "it accepts connections and does not answer: check its logs and its load"
            findings.append(problem("answer", "no answer in time", advice))
        return Report(self.part, findings)

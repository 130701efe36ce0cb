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
    """Result of one check: its subject, what was found, and the remedy where it isn't well."""

    subject: str
    level: Level
    found: str
    remedy: str = ""


class Report(msgspec.Struct, frozen=True):
    """The findings on one part: this host, or one server."""

    part: str
    findings: list[Finding]


class CheckContext(msgspec.Struct, frozen=True):
    """Context of a check. `probe` allows it to write, and to remove it again."""

    settings: Settings
    timeout_s: float
    probe: bool = False


Check = Callable[[CheckContext], Iterable[Finding]]


def finding(subject: str, level: Level, found: str, remedy: str = "") -> Finding:
    """A finding as it may be shown: the texts of servers and clients without passwords."""
    subject, found, remedy = (printable(masked_text(text)) for text in (subject, found, remedy))
    return Finding(subject, level, found, remedy)


def ok(subject: str, found: str) -> Finding:
    """A finding without a fault."""
    return finding(subject, "ok", found)


def warning(subject: str, found: str, remedy: str) -> Finding:
    """A finding on something that works now and may fail later."""
    return finding(subject, "warning", found, remedy)


def problem(subject: str, found: str, remedy: str) -> Finding:
    """A finding on something that keeps the engine from running."""
    return finding(subject, "problem", found, remedy)


def run_checks(
    checks: Mapping[str, Check], context: CheckContext, patience_s: float
) -> Iterator[Report]:
    """Run all checks at once; what has not ended after `patience_s` is a problem itself."""
    running: list[RunningCheck] = []
    end_s = time.monotonic() + patience_s
    try:
        running.extend(RunningCheck(part, each, context) for part, each in checks.items())
        for each in running:
            yield each.report(end_s)
    except KeyboardInterrupt:
        STOPPING.set()  # requests to the broker are given up, and their clients closed
        end_s = time.monotonic() + INTERRUPTED_WITHIN_S
        while opened() and time.monotonic() < end_s:
            # No join: interrupted, Python 3.11 takes a thread for ended (bpo-45274).
            time.sleep(0.02)
        raise


class RunningCheck:
    """A check in a thread of its own, which may never end."""

    def __init__(self, part: str, check: Check, context: CheckContext) -> None:
        self.part = part
        self.findings: list[Finding] = []
        # A daemon: a client that hangs in its library must not keep the command from ending.
        self.thread = threading.Thread(
            target=self._run, args=(check, context), name=f"doctor-{part}", daemon=True
        )
        self.thread.start()

    def _run(self, check: Check, context: CheckContext) -> None:
        try:
            for finding in check(context):
                self.findings.append(finding)
        except Exception as error:  # noqa: BLE001 - that a check failed is what we have to report
            reason = f"the check failed: {type(error).__name__}: {worded(error)}"
            self.findings.append(
                problem("check", reason, "this is a fault of ours: please report it")
            )

    def report(self, end_s: float) -> Report:
        """Findings made by `end_s` on the monotonic clock."""
        self.thread.join(max(0.0, end_s - time.monotonic()))
        findings = list(self.findings)
        if self.thread.is_alive():
            remedy = "it accepts connections and does not answer: check its logs and its load"
            findings.append(problem("answer", "no answer in time", remedy))
        return Report(self.part, findings)

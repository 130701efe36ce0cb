"""`ordertide doctor`: does this configuration fit the servers that are there?"""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from commands.doctor import actions as doctor_actions
from commands.doctor import alerting as doctor_alerting
from commands.doctor import archive as doctor_archive
from commands.doctor import host as doctor_host
from commands.doctor import issuer as doctor_issuer
from commands.doctor import kafka as doctor_kafka
from commands.doctor import polling as doctor_polling
from commands.doctor import redis as doctor_redis
from commands.doctor import warm as doctor_warm
from commands.doctor.findings import Check, CheckContext, Finding, Report, run_checks
from commands.wiring.settings_file import settings_option
from schemas.display import count_of
from schemas.settings.model import read_settings
from telemetry.screen import show, show_json

CHECKS: dict[str, Check] = {
    "host": doctor_host.check,
    "kafka": doctor_kafka.check,
    "redis": doctor_redis.check,
    "warm": doctor_warm.check,
    "archive": doctor_archive.check,
    "alerts": doctor_alerting.receiver,
    "actions": doctor_actions.check,
    "polling": doctor_polling.check,
    "issuer": doctor_issuer.check,
    "prometheus": doctor_alerting.prometheus,
}
# A server gets several requests one after the other; a healthy one needs a second for all.
QUESTIONS = 4
MARKS = {"ok": "ok", "warning": "WARNING", "problem": "PROBLEM"}


@click.command("doctor")
@click.argument("parts", nargs=-1, type=click.Choice([*CHECKS]))
@settings_option()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.option(
    "--timeout", "timeout_s", default=5.0, show_default=True, help="seconds for one answer"
)
@click.option("--probe", is_flag=True, help="write a probe to Kafka (topic made and deleted)")
def command(
    parts: tuple[str, ...], path: Path | None, timeout_s: float, *, as_json: bool, probe: bool
) -> None:
    """Check the settings against the real servers, and print remedies.

    All PARTS, or those that are named: an unused server need not answer. Checks
    addresses, rights, versions, topics, templates, clocks and disk space; changes nothing (--probe
    apart). Exit code 1 if there is a problem.

    \b
    ordertide doctor --settings ordertide.toml
    ordertide doctor host kafka redis --settings ordertide.toml
    ordertide doctor --json | jq '.[].findings[] | select(.level == "problem")'
    """
    context = CheckContext(read_settings(path), timeout_s, probe)
    wanted = {part: CHECKS[part] for part in parts or CHECKS}
    found = run_checks(wanted, context, patience_s=timeout_s * QUESTIONS)
    reports = []
    for report in found:
        reports.append(report)
        if not as_json:
            show("\n".join(lines(report)))
    if as_json:
        show_json(msgspec.json.format(msgspec.json.encode(reports)))
    else:
        show(summary(reports))
    if any(finding.level == "problem" for finding in all_of(reports)):
        raise SystemExit(1)


def lines(report: Report) -> Iterator[str]:
    """A part: its name, then a line per finding and one with the advice."""
    yield report.part
    for finding in report.findings:
        yield f"  {MARKS[finding.level]:<8} {finding.subject:<24} {finding.found}"
        if finding.remedy:
            yield f"  {'':<8} {'':<24} → {finding.remedy}"


def all_of(reports: list[Report]) -> list[Finding]:
    """Every finding."""
    return [finding for report in reports for finding in report.findings]


def summary(reports: list[Report]) -> str:
    """Number of findings by level."""
    levels = [finding.level for finding in all_of(reports)]
    problems, warnings = levels.count("problem"), levels.count("warning")
    counts = f"{count_of(problems, 'problem')}, {count_of(warnings, 'warning')}"
    return f"{counts}, {levels.count('ok')} ok"

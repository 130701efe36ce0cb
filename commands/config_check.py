"""Checks of a settings file that need no server."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import combinations, groupby
from pathlib import Path

from broker.properties import property_faults
from commands.deliver import plan_of
from commands.serve import check_reach, pem_files
from commands.wiring.calendars import MARGIN_MS
from commands.wiring.definitions import actions_of, lifecycle_of, rules_of
from commands.wiring.local_folders import local_folders
from commands.wiring.process import now_ms
from dataflows.cluster.multi_host import hosts_of
from dataflows.core.calendar_ends import ending_calendars
from dataflows.core.rules import Rules
from dataflows.core.rules_check import NO_STATUS
from dataflows.core.trials import trial_faults
from dataflows.definition_files import read_lifecycle
from schemas.errors import SettingsError
from schemas.plugins import CHANNELS
from schemas.settings.checks import Finding, findings
from schemas.settings.model import KEYS, Settings, located, read_values, sourced
from schemas.settings.sources import KeyPath, Values
from schemas.topics import ORDERS_CHANGES
from schemas.type_faults import choice
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.installed import channel_faults
from sinks.actions.messages.templates import read_templates
from sinks.actions.table import missing_kinds, undeclared
from storage_tiering.archive.opening import archive_files
from storage_tiering.hot.opening import open_hot
from storage_tiering.installed import lookup_tiers
from storage_tiering.tier import Tier
from storage_tiering.warm.opening import open_warm
from telemetry.log import LEVEL_NAMES, LEVELS


def config_faults(path: Path | None) -> list[str]:
    """Each fault as a line: file, line, problem, remedy.

    A fault of a setting hides none of the others: what depends on it is checked by its default.
    """
    try:
        values = read_values(path)
    except SettingsError as error:
        return str(error).splitlines()
    found = [*findings(values, KEYS)]
    bad = {fault.place[:2] for fault in found}
    sound = {place: given for place, given in values.items() if place[:2] not in bad}
    settings = sourced(sound).settings
    names = [".".join(place) for place in bad]
    found += [
        Finding(place_in(fault, values), fault)
        for check in CHECKS
        for fault in check(settings)
        if not any(name in fault for name in names)
    ]
    found.sort(key=lambda fault: values[fault.place].line if fault.place in values else 0)
    lines = [located(fault, values, path) for fault in found]
    lines += table_faults(settings, values, path)
    lines += action_faults(settings, values, path)
    return [*dict.fromkeys(lines)]


def place_in(fault: str, values: Values) -> KeyPath:
    """KeyPath of the setting that a fault begins with; empty without one."""
    named = SETTING.match(fault)
    begins = (place for place in values if fault.startswith(f"{'.'.join(place)}: "))
    return next(begins, (named[1], named[2]) if named else ())


def table_faults(settings: Settings, values: Values, path: Path | None) -> Iterator[str]:
    """Faults of the lifecycle, and of the rules over it."""
    has_table = True
    try:
        table = lifecycle_of(settings)
    except SettingsError as error:
        yield from in_file(("track", "lifecycle"), settings.track.lifecycle, error, values, path)
        table, has_table = read_lifecycle(), False
    try:
        rules = rules_of(settings, table)
    except SettingsError as error:
        for fault in in_file(("track", "rules"), settings.track.rules, error, values, path):
            if has_table or NO_STATUS not in fault:
                yield fault
        return
    if not has_table:
        return
    for line, fault in trial_faults(rules, table):
        yield f"{settings.track.rules or 'rules.toml'}:{line}: {fault}"
    if settings.track.clock == "broker":
        yield from ending_calendars(rules, now_ms() + MARGIN_MS)


def action_faults(settings: Settings, values: Values, path: Path | None) -> Iterator[str]:
    """Faults of the table of actions, and kinds that the rules request and it lacks."""
    named = settings.act.actions
    try:
        table = actions_of(settings)
    except SettingsError as error:
        yield from in_file(("act", "actions"), named, error, values, path)
        return
    if named is None:  # then nobody may run `ordertide act`, and the rules may be anybody's
        return
    yield from channel_faults(table, settings.act)
    try:
        templates = read_templates(table)
    except SettingsError as error:
        yield from str(error).splitlines()
    else:
        if templates and not settings.serve.public_url:
            fault = "serve.public_url is missing; messages to customers link to their page there"
            yield located(Finding(("serve", "public_url"), fault), values, path)
    try:
        rules = rules_of(settings, lifecycle_of(settings))
    except SettingsError:
        return  # reported with the rules
    missing = [*missing_kinds(table, requested_kinds(rules)), *undeclared(table, rules.attributes)]
    for fault in missing:
        yield located(Finding(("act", "actions"), f"act.actions: {fault}"), values, path)


def requested_kinds(rules: Rules) -> list[str]:
    """Kinds of actions that rules request."""
    rows = [rule.row for rule in rules.rules]
    found = [row.action for row in rows]
    found += [row.escalate.action for row in rows if row.escalate]
    return sorted({action.kind for action in found if action})


def in_file(
    place: tuple[str, str],
    name: str | None,
    error: SettingsError,
    values: Values,
    path: Path | None,
) -> Iterator[str]:
    """Faults of a file that a setting names; of a missing file the setting is named too."""
    for fault in str(error).splitlines():
        is_located = re.match(rf"{re.escape(name or place[1])}:\d", fault)
        finding = Finding(place, f"{'.'.join(place)}: {fault}")
        yield fault if is_located else located(finding, values, path)


def folder_faults(settings: Settings) -> Iterator[str]:
    """Folders that are none, and folders that two parts would share."""
    folders = local_folders(settings)
    for name, folder in folders.items():
        if Path(folder).exists() and not Path(folder).is_dir():
            yield f"{name}: {folder} is a file; name a folder"
    for (one, folder), (other, same) in combinations(folders.items(), 2):
        if Path(folder).resolve() == Path(same).resolve():
            yield f"{one} and {other} are the same folder, {folder}; give each its own"
    if Path(settings.privacy.keys).is_dir():
        yield f"privacy.keys: {settings.privacy.keys} is a folder; name a file"


def host_faults(settings: Settings) -> Iterator[str]:
    """Many hosts with settings that don't fit them."""
    if settings.track.hosts:
        try:
            hosts_of(settings)
        except SettingsError as error:
            yield str(error)


def level_faults(settings: Settings) -> Iterator[str]:
    """A log level that there isn't."""
    if settings.telemetry.level.lower() not in LEVELS:
        level = settings.telemetry.level
        yield f"telemetry.level: {level!r} is none; {choice(level.lower(), LEVEL_NAMES)}"


def delivery_faults(settings: Settings) -> Iterator[str]:
    """Alerts that would run out before they are renewed, or a channel that isn't installed."""
    try:
        plan_of(settings.delivery, ORDERS_CHANGES)
    except SettingsError as error:
        yield str(error)
    try:
        CHANNELS.named(settings.delivery.channel)
    except SettingsError as error:
        yield f"delivery.channel: {error}"


def tier_faults(settings: Settings) -> Iterator[str]:
    """Tiers for look-ups that aren't installed."""
    try:
        lookup_tiers(settings)
    except SettingsError as error:
        yield str(error)


def server_faults(settings: Settings) -> Iterator[str]:
    """Redis or Elasticsearch with an address, certificates or a login that can't be used."""
    opens: list[Callable[[Settings], Tier]] = [open_hot]
    if settings.warm.url:
        opens.append(open_warm)
    for open_tier in opens:
        try:
            open_tier(settings).close()
        except SettingsError as error:
            yield re.sub(r"^\[(\w+)\] ", r"\1.", str(error))


def librdkafka_faults(settings: Settings) -> Iterator[str]:
    """Properties that librdkafka lacks, or whose value it doesn't take."""
    for name, fault in property_faults(settings.broker.properties):
        yield f"broker.properties.{name}: {fault}"


def archive_faults(settings: Settings) -> Iterator[str]:
    """HDFS named by half, without its client, or with a folder that isn't absolute."""
    try:
        archive_files(settings)
    except SettingsError as error:
        yield str(error)


def serve_faults(settings: Settings) -> Iterator[str]:
    """An address without TLS; parts, rates, accounts, networks or a zone that can't be used."""
    from commands.wiring.gateway import parts_of, zone_of
    from gateway.access.access import networks_of
    from gateway.api.callbacks import accounts_of
    from gateway.limits import Limits

    own = settings.serve
    accounts = groupby(sorted(own.carriers), key=lambda name: name.split(".")[:2])
    checks: list[Callable[[], object]] = [
        partial(check_reach, own),
        partial(parts_of, own),
        partial(networks_of, own.behind_proxy),
        partial(zone_of, own.zone),
        *(partial(Limits, {name: rate}) for name, rate in own.limits.items()),
        *commands_checks(settings),
        *(partial(accounts_of, {n: own.carriers[n] for n in names}) for _, names in accounts),
    ]
    for check in checks:
        try:
            check()
        except SettingsError as error:
            fault = str(error)
            yield fault if SETTING.match(fault) else f"serve.carriers: {fault}"


def map_faults(settings: Settings) -> Iterator[str]:
    """Settings of the map's tiles that don't fit each other."""
    from gateway.board.tiles import tile_source

    try:
        tile_source(settings.map, time.time)
    except SettingsError as error:
        yield str(error)


def oidc_faults(settings: Settings) -> Iterator[str]:
    """An issuer without its client, that isn't https, or with claims and roles that don't exist."""
    from commands.wiring.gateway import oidc_of
    from gateway.access.sessions import Sessions
    from gateway.access.signing import Signer

    try:
        oidc_of(settings.serve, settings.oidc, Sessions(Signer(b""), Path(settings.serve.folder)))
    except SettingsError as error:
        yield str(error)


def certificate_faults(settings: Settings) -> Iterator[str]:
    """Files of the gateway's certificate that can't be used, or a certificate that has expired."""
    from gateway.certificate import expiry_faults, file_faults

    if files := pem_files(settings.serve):
        yield from file_faults(files)
        yield from expiry_faults(files, datetime.now(UTC))


def commands_checks(settings: Settings) -> list[Callable[[], object]]:
    """Checks of the statuses that parties may set; none where the lifecycle can't be read."""
    from gateway.api.commands import allowed_by

    try:
        table = lifecycle_of(settings)
    except SettingsError:
        return []  # a fault of its own
    named = settings.serve.commands.items()
    return [partial(allowed_by, {role: codes}, table) for role, codes in named]


def poll_faults(settings: Settings) -> Iterator[str]:
    """Accounts to poll, or intervals, that can't be used."""
    from commands.poll.accounts import open_accounts

    try:
        open_accounts(settings.poll)
    except SettingsError as error:
        fault = str(error)
        yield fault if SETTING.match(fault) else f"poll.carriers: {fault}"


def private_faults(settings: Settings) -> Iterator[str]:
    """Networks that actions may go to and that are none."""
    try:
        Allowed(settings.act.private)
    except SettingsError as error:
        yield str(error)


SETTING = re.compile(r"([a-z]+)\.([a-z_]+)")

Check = Callable[[Settings], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    folder_faults,
    host_faults,
    librdkafka_faults,
    server_faults,
    archive_faults,
    level_faults,
    delivery_faults,
    tier_faults,
    serve_faults,
    map_faults,
    oidc_faults,
    certificate_faults,
    poll_faults,
    private_faults,
)

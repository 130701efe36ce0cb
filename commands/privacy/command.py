"""`ordertide privacy`: erasing a customer's personal data."""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from commands.privacy.places import Looker
from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from privacy.keys import FileKeyStore
from privacy.search import PlaceFound, Search
from schemas.display import printable
from schemas.errors import SettingsError
from schemas.keys import DEFAULT_TENANT
from schemas.settings.model import Settings, read_settings
from telemetry.screen import show, show_json

INCOMPLETE = 1  # exit code


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an erasure. `keys` were erased now; `is_complete` means nothing opens."""

    tenant: str
    customer: str
    is_dry_run: bool
    orders: int
    numbers: int
    keys: int
    places: list[PlaceFound]
    is_complete: bool


@click.group("privacy", cls=Group)
def command() -> None:
    """Erase the personal data of a customer (docs/privacy.md)."""


@command.command("erase")
@click.argument("customer")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="whose customer")
@settings_option()
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    help="another key file, e.g. of a replay's results",
)
@click.option("--dry-run", is_flag=True, help="search and report, erase nothing")
@click.option("--json", "as_json", is_flag=True, help="as one JSON document")
def erase_command(
    customer: str,
    tenant: str,
    path: Path | None,
    keys: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Erase the keys of CUSTOMER: nothing sealed for this person opens any more, now or later.

    Searches the state, the topics and the tiers for the customer's orders and for what was sealed
    under the key of an order or a waybill only. The customer stays erased: what is read of this
    person later, or again, is not kept. This can't be undone. Running it again does no harm, and
    completes it where a place was unavailable: then the exit code is 1.

    \b
    ordertide privacy erase C-1017 --settings ordertide.toml
    ordertide privacy erase C-1017 --tenant shop-eu --dry-run
    ordertide privacy erase C-1017 --keys results/keys.json --json | jq .places
    """
    settings = read_settings(path)
    report = erase(settings, tenant, customer, keys, is_dry_run=dry_run)
    if as_json:
        show_json(msgspec.json.encode(report))
    else:
        show("\n".join(lines(report)))
    if not report.is_complete:
        raise SystemExit(INCOMPLETE)


def erase(
    settings: Settings, tenant: str, customer: str, keys: Path | None, *, is_dry_run: bool
) -> Report:
    """Search and erase.

    Raises:
        SettingsError: there is no key file. StateError: it can't be used.
    """
    key_file = keys or Path(settings.privacy.keys)
    if not key_file.exists():
        raise SettingsError(f"{key_file}: no key file; name the one of `track` with --keys")
    store = FileKeyStore(key_file)
    try:
        search = Search(tenant, customer, store)
        Looker(settings, search).look()
        erased = [] if is_dry_run else search.erase()
    finally:
        store.close()
    places = list(search.found.values())
    return Report(
        tenant=tenant,
        customer=customer,
        is_dry_run=is_dry_run,
        orders=len(search.orders),
        numbers=len(search.numbers),
        keys=len(erased),
        places=places,
        is_complete=not any(place.still_opens or is_missed(place) for place in places),
    )


def is_missed(place: PlaceFound) -> bool:
    """Return True if an unavailable place may hold what no other place holds.

    Not the hot tier: it has 72 hours of what `orders.events` and the state have too.
    """
    return place.fault is not None and place.place != "hot"


def lines(report: Report) -> Iterator[str]:
    """The report for people."""
    done = "not erased (dry run)" if report.is_dry_run else "erased"
    yield f"customer {printable(report.customer)} of tenant {printable(report.tenant)}: {done}"
    yield f"  {report.orders:,} orders, {report.numbers:,} waybills and references of theirs"
    yield f"  {report.keys:,} keys erased"
    yield f"  {'place':<16}{'records':>9}{'sealed':>8}{'of it opens':>13}{'in clear':>10}"
    for place in report.places:
        if place.fault:
            yield f"  {place.place:<16}not searched: {place.fault}"
        else:
            opens = "-" if report.is_dry_run else f"{place.still_opens:,}"
            counts = f"{place.records:>9,}{place.sealed:>8,}{opens:>13}{place.clear:>10,}"
            yield f"  {place.place:<16}{counts}"
    if any(place.clear for place in report.places):
        yield "  in clear: originals in `events`, until the topic's retention deletes them"
    if not any(place.records for place in report.places):
        yield "  nothing was found; check the id and the tenant"
    if not report.is_complete:
        yield "  not complete: run it again when all places answer"

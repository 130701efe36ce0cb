"""Contract of Outcomes: every tier that keeps audit entries and actions finds the same ones."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.alert import Action, AuditEntry, Because
from schemas.instants import DAY_MS, HOUR_MS, format_instant
from schemas.outcomes import Outcome, OutcomeQuery
from schemas.topics import ORDERS_ACTIONS, ORDERS_AUDIT
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.memory import MemoryTier
from storage_tiering.records import outcome_record
from storage_tiering.tier import OutcomeRecord, Outcomes, Tier, TopicPosition
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.alerts import alert
from tests.support.tiers.elastic_places import drop_indices, shared_place
from tests.support.tiers.orders import PERIOD_END, START, WARM_KEEP_MS

OpenTier = Callable[[], Tier]
COMMAND: dict[str, Any] = {"operator": "u-5", "ip": "192.0.2.7", "source": "erp"}


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[str, str]]:
    with shared_place() as made:
        yield made


@pytest.fixture(
    params=["memory", "sqlite", "parquet", pytest.param("elasticsearch", marks=pytest.mark.stack)]
)
def open_tier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenTier]:
    """Opens the same store again, but for the memory's."""
    settings, memory = ArchiveSettings(seal_age_s=None), MemoryTier()
    if request.param == "elasticsearch":
        url, name = request.getfixturevalue("place")
        yield lambda: ElasticTier(connect(url), name)
        with connect(url) as client:
            drop_indices(client, name)
        return
    kinds: dict[str, OpenTier] = {
        "memory": lambda: memory,
        "sqlite": lambda: SqliteTier(tmp_path),
        "parquet": lambda: ParquetTier(LocalFiles(tmp_path), settings),
    }
    yield kinds[request.param]


@pytest.fixture
def tier(open_tier: OpenTier) -> Iterator[Tier]:
    opened = open_tier()
    yield opened
    opened.close()


def entry(name: str, at: int = START, order_id: str = "A", **more: Any) -> AuditEntry:  # noqa: ANN401 - fields of an entry
    plain = {"what": "command.accepted", "tenant": "default", "detail": {"status": "SHIPPED"}}
    return AuditEntry(audit_id=name, at=format_instant(at), order_id=order_id, **{**plain, **more})


def action(name: str, at: int = START, order_id: str = "A") -> Action:
    return Action(
        action_id=name,
        tenant="default",
        order_id=order_id,
        kind="notify",
        rule="late_delivery",
        at=format_instant(at),
        expires_at=format_instant(at + HOUR_MS),
        alert_id=None,
        because=because(),
    )


def because() -> Any:  # noqa: ANN401 - of an alert
    return msgspec.convert(alert()["because"], Because)


def records(*outcomes: Outcome, first_offset: int = 0) -> list[OutcomeRecord]:
    return [
        outcome_record(
            each,
            TopicPosition(
                ORDERS_AUDIT if isinstance(each, AuditEntry) else ORDERS_ACTIONS, 0, offset
            ),
        )
        for offset, each in enumerate(outcomes, start=first_offset)
    ]


def write(tier: Tier, *outcomes: Outcome, first_offset: int = 0) -> None:
    assert isinstance(tier, Outcomes)
    tier.write_outcomes(records(*outcomes, first_offset=first_offset))
    assert tier.flush(force=True)


def found(tier: Tier, **conditions: Any) -> list[Outcome]:  # noqa: ANN401 - fields of OutcomeQuery
    assert isinstance(tier, Outcomes)
    return tier.outcomes(OutcomeQuery(**conditions))


def test_entries_are_found_by_order_operator_ip_and_time(tier: Tier) -> None:
    mine = entry("1", **COMMAND)
    theirs = entry("2", START + 1, "B", operator="u-6", ip="2001:db8::1")
    opened = entry("3", START + 2, "B", what="alert.opened", source="rule:late_delivery")
    write(tier, mine, theirs, opened)
    assert found(tier) == [opened, theirs, mine], "the newest first"
    assert found(tier, tenant="default", order_id="B") == [opened, theirs]
    assert found(tier, order_id="A") == [mine]
    assert found(tier, operator="u-5") == found(tier, ip="192.0.2.7") == [mine]
    assert found(tier, ip="2001:db8::1", operator="u-6") == [theirs]
    assert found(tier, since=START + 1) == [opened, theirs]
    assert found(tier, until=START + 1) == [mine]
    assert found(tier, operator="u-5", order_id="B") == []
    assert found(tier, tenant="other") == []


def test_an_address_that_is_none_is_found_as_it_came(tier: Tier) -> None:
    written = entry("1", ip="behind the proxy", operator="张三'; --")
    write(tier, written)
    assert found(tier, ip="behind the proxy") == found(tier, operator="张三'; --") == [written]


def test_an_entry_written_again_is_once(open_tier: OpenTier, rng: random.Random) -> None:
    outcomes = [entry(f"{n:02d}", START + n % 7) for n in range(20)]
    tier = open_tier()
    write(tier, *outcomes[:12])
    tier.close()
    again = open_tier()
    write(again, *rng.sample(outcomes[:12], k=12), *outcomes[12:])
    write(again, *outcomes, first_offset=20)
    in_order = sorted(outcomes, key=lambda each: (each.at, each.audit_id), reverse=True)
    assert found(again) == in_order
    assert isinstance(again, Outcomes)
    assert again.outcomes(OutcomeQuery(), limit=3) == in_order[:3]
    again.close()


def test_actions_are_a_kind_of_their_own(tier: Tier) -> None:
    requested = action("1")
    write(tier, entry("1"), requested)
    assert found(tier, kind="actions", order_id="A") == [requested]
    assert found(tier, kind="actions", operator="u-5") == []
    assert found(tier, kind="audit") == [entry("1")]


def test_outcomes_expire_by_stream_time_and_bring_no_period_back(tier: Tier) -> None:
    if isinstance(tier, ParquetTier):
        return
    write(tier, entry("1"), action("1"), entry("2", PERIOD_END + DAY_MS))
    tier.expire(PERIOD_END + WARM_KEEP_MS)
    expected = [] if isinstance(tier, MemoryTier) else [entry("2", PERIOD_END + DAY_MS)]
    assert found(tier) == expected
    assert found(tier, kind="actions") == []
    if not isinstance(tier, MemoryTier):
        write(tier, entry("1"))
        assert found(tier) == expected


def test_outcomes_are_neither_orders_nor_events(tier: Tier) -> None:
    write(tier, entry("1"), action("1"))
    assert tier.find("default", "A") is None
    assert (tier.counts().orders, tier.counts().events) == (0, 0)

"""The doctor on real servers: well ones are well, and provoked faults are found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from broker.connect import Connection
from broker.topics import ensure_topics
from commands.doctor import alerting as doctor_alerting
from commands.doctor import archive as doctor_archive
from commands.doctor import elasticsearch as doctor_elasticsearch
from commands.doctor import kafka as doctor_kafka
from commands.doctor.findings import CheckContext, Finding, Level
from commands.doctor.http import HttpTarget, Unanswered
from deploy.stack.hdfs import NameNode
from deploy.stack.kafka import Kafka
from schemas.settings.model import read_settings
from schemas.topics import CONTROL, EVENTS, ORDERS_AUDIT, ORDERS_CHANGES, TOPICS
from tests.support.servers import need_kafka
from tests.support.stack import address, namespace
from tests.support.waiting import wait_until

TIMEOUT_S = 10.0
NOWHERE = "127.0.0.1:1"  # no server listens on port 1
WAIT_S = 30.0


def context(*, probe: bool = False, **variables: str) -> CheckContext:
    environment = {f"ORDERTIDE_{name}": value for name, value in variables.items()}
    return CheckContext(read_settings(None, environment), TIMEOUT_S, probe)


def levels(findings: Iterator[Finding]) -> dict[str, Level]:
    """{subject: its worst level}."""
    order: list[Level] = ["ok", "warning", "problem"]
    worst: dict[str, Level] = {}
    for finding in findings:
        held = worst.get(finding.subject, "ok")
        worst[finding.subject] = max(held, finding.level, key=order.index)
    return worst


# ---------------------------------------------------------------- Kafka, a broker of our own
@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need_kafka()
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    folder: Path = tmp_path_factory.mktemp("kafka")
    with Kafka(folder, properties=properties) as broker:
        yield broker.address["bootstrap"]


@pytest.fixture
def admin(bootstrap: str) -> Iterator[AdminClient]:
    """For a broker with no topics, before and after."""
    client = AdminClient({"bootstrap.servers": bootstrap})
    yield client
    there = topics_of(client)
    for answer in client.delete_topics([*there]).values() if there else []:
        answer.result(TIMEOUT_S)
    wait_until(lambda: not topics_of(client), "the end of all topics")


@pytest.fixture
def topics(bootstrap: str, admin: AdminClient) -> AdminClient:
    """The broker with the topics as `track` makes them."""
    ensure_topics(Connection(bootstrap), partitions=2)
    # What the controller has acknowledged reaches the broker a moment later.
    wait_until(lambda: topics_of(admin) == {topic.name for topic in TOPICS}, "the topics")
    return admin


def topics_of(client: AdminClient) -> set[str]:
    return set(client.list_topics(timeout=TIMEOUT_S).topics)


def checked(bootstrap: str, *, probe: bool = False) -> dict[str, Finding]:
    """{subject: the finding that is worst}."""
    findings = [*doctor_kafka.check(context(BROKER_BOOTSTRAP=bootstrap, probe=probe))]
    worst = levels(iter(findings))
    return {each.subject: each for each in findings if each.level == worst[each.subject]}


def found_at(bootstrap: str, topic: str, words: str) -> Finding:
    """The finding of a topic as soon as it contains `words`."""
    found: dict[str, Finding] = {}
    subject = f"topic {topic}"

    def is_said() -> bool:
        # A topic that is new has no finding of its own until the broker's metadata name it.
        found.clear()
        found.update(checked(bootstrap))
        return subject in found and words in found[subject].found

    wait_until(is_said, words, shown=lambda: found)
    return found[subject]


@pytest.mark.stack
@pytest.mark.usefixtures("admin")
def test_a_fresh_cluster_has_no_topics_yet_and_that_is_no_problem(bootstrap: str) -> None:
    found = checked(bootstrap)
    assert found["topics"].level == "warning"
    assert found["version"].level == "ok"
    assert "problem" not in {finding.level for finding in found.values()}


@pytest.mark.stack
@pytest.mark.usefixtures("topics")
def test_topics_as_track_makes_them_are_well(bootstrap: str) -> None:
    not_well: list[Finding] = []

    def is_well() -> bool:
        not_well[:] = [each for each in checked(bootstrap).values() if each.level != "ok"]
        return not not_well

    # At first "Not leader for partition": the clock isn't compared.
    wait_until(is_well, "health", shown=lambda: not_well)


@pytest.mark.stack
def test_a_missing_topic_is_named(bootstrap: str, topics: AdminClient) -> None:
    topics.delete_topics([ORDERS_AUDIT])[ORDERS_AUDIT].result(TIMEOUT_S)
    assert found_at(bootstrap, ORDERS_AUDIT, "does not exist").level == "problem"


@pytest.mark.stack
@pytest.mark.parametrize(
    ("topic", "setting", "value", "level"),
    [
        (EVENTS, "message.timestamp.type", "CreateTime", "problem"),
        (ORDERS_CHANGES, "cleanup.policy", "delete", "problem"),
        (EVENTS, "retention.ms", "60000", "warning"),
        (ORDERS_CHANGES, "segment.bytes", str(1024**3), "warning"),
        (CONTROL.name, "segment.ms", "604800000", "warning"),
    ],
)
def test_a_wrong_setting_is_found_with_the_command_that_puts_it_right(
    bootstrap: str, topics: AdminClient, topic: str, setting: str, value: str, level: Level
) -> None:
    ensure_topics(Connection(bootstrap), 1, topics=[CONTROL])  # as `serve` does
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    topics.incremental_alter_configs([resource])[resource].result(TIMEOUT_S)
    finding = found_at(bootstrap, topic, f"{setting} is {value}")
    assert finding.level == level
    assert f"--add-config {setting}=" in finding.remedy


@pytest.mark.stack
def test_rights_that_are_lacking_are_named(bootstrap: str, topics: AdminClient) -> None:
    topic = (ResourceType.TOPIC, ORDERS_CHANGES, ResourcePatternType.LITERAL)
    everybody = ("User:*", "*")
    granted = [
        AclBinding(*topic, *everybody, operation, AclPermissionType.ALLOW)
        for operation in (AclOperation.READ, AclOperation.DESCRIBE_CONFIGS, AclOperation.DELETE)
    ]
    for answer in topics.create_acls(granted).values():
        answer.result(TIMEOUT_S)
    found_of_it = AclBindingFilter(*topic, *everybody, AclOperation.ANY, AclPermissionType.ANY)
    try:
        assert found_at(bootstrap, ORDERS_CHANGES, "WRITE").level == "problem"
    finally:
        topics.delete_acls([found_of_it])[found_of_it].result(TIMEOUT_S)


@pytest.mark.stack
def test_a_probe_measures_the_clock_and_leaves_nothing(bootstrap: str, admin: AdminClient) -> None:
    assert checked(bootstrap, probe=True)["clock"].level == "ok"
    wait_until(lambda: not topics_of(admin), "the end of all topics")


# ---------------------------------------------------------------- the shared stack
@pytest.mark.stack
def test_the_stack_s_alertmanager_is_well() -> None:
    looked = context(DELIVERY_URL=address("alertmanager")["url"])
    assert set(levels(doctor_alerting.receiver(looked)).values()) == {"ok"}


@pytest.mark.stack
def test_the_stack_s_prometheus_is_well_but_for_what_it_scrapes() -> None:
    looked = context(TELEMETRY_PROMETHEUS=address("prometheus")["url"])
    found = levels(doctor_alerting.prometheus(looked))
    assert found["reachable"] == found["version"] == found["clock"] == "ok"


@pytest.mark.stack
def test_prometheus_and_alertmanager_at_each_other_s_address_are_found() -> None:
    swapped = context(
        DELIVERY_URL=address("prometheus")["url"],
        TELEMETRY_PROMETHEUS=address("alertmanager")["url"],
    )
    assert levels(doctor_alerting.receiver(swapped)) == {"reachable": "problem"}
    assert levels(doctor_alerting.prometheus(swapped)) == {"reachable": "problem"}


@pytest.mark.stack
def test_an_elasticsearch_of_another_major_is_found() -> None:
    target = HttpTarget(address("elasticsearch")["url"], "[warm] url", TIMEOUT_S)
    assert levels(doctor_elasticsearch.version(target, 8))["version"] == "ok"
    assert levels(doctor_elasticsearch.version(target, 9))["version"] == "problem"


@pytest.mark.stack
def test_another_server_at_elasticsearch_s_address_is_found() -> None:
    target = HttpTarget(address("alertmanager")["url"], "[warm] url", TIMEOUT_S)
    with pytest.raises(Unanswered):
        list(doctor_elasticsearch.version(target, 8))


@pytest.mark.stack
def test_the_stack_s_elasticsearch_is_well() -> None:
    target = HttpTarget(address("elasticsearch")["url"], "[warm] url", TIMEOUT_S)
    found = levels(doctor_elasticsearch.check_server(target, 8, namespace()))
    assert found["reachable"] == found["version"] == found["clock"] == "ok"


def hdfs(folder: str, user: str, *more: str) -> dict[str, Level]:
    urls = [address("hdfs")["web"], *more]
    targets = [HttpTarget(url, "[archive] web", TIMEOUT_S) for url in urls]
    return levels(doctor_archive.check_name_nodes(targets, folder, user))


@pytest.mark.stack
def test_the_stack_s_hdfs_is_well() -> None:
    found = hdfs(f"/{namespace()}/archive", address("hdfs")["user"])
    wanted = ("reachable", "safe mode", "DataNodes", "clock", "authorised")
    assert {subject: found[subject] for subject in wanted} == dict.fromkeys(wanted, "ok")


@pytest.mark.stack
def test_a_second_namenode_that_is_away_is_a_warning() -> None:
    found = hdfs("/", address("hdfs")["user"], f"http://{NOWHERE}")
    assert found["reachable"] == "warning"
    assert "active" not in found


@pytest.mark.stack
def test_who_may_not_write_to_the_archive_is_told() -> None:
    assert hdfs("/", "somebody")["authorised"] == "problem"


@pytest.mark.stack
def test_a_namenode_that_waits_for_its_datanodes_is_in_safe_mode(tmp_path: Path) -> None:
    address("hdfs")
    lonely = NameNode(tmp_path, properties={"dfs.namenode.safemode.min.datanodes": "1"})
    with lonely:
        target = HttpTarget(lonely.address["web"], "[archive] web", TIMEOUT_S)
        found = levels(doctor_archive.check_name_nodes([target], "/", lonely.address["user"]))
    assert found["reachable"] == "ok"
    assert found["safe mode"] == found["DataNodes"] == "problem"


def test_no_namenode_at_all_is_a_problem() -> None:
    targets = [HttpTarget(f"http://{NOWHERE}", "[archive] web", TIMEOUT_S)]
    found = levels(doctor_archive.check_name_nodes(targets, "/", "ordertide"))
    assert found == {"reachable": "problem"}


# ---------------------------------------------------------------- disks
@pytest.mark.parametrize(
    ("free_share", "level"), [(0.5, "ok"), (0.12, "warning"), (0.04, "problem")]
)
def test_a_disk_past_a_watermark_is_found(free_share: float, level: Level) -> None:
    limits = {"low": "85%", "high": "90%", "flood_stage": "95%"}
    total = {"total_in_bytes": 1000, "available_in_bytes": int(1000 * free_share)}
    assert doctor_elasticsearch.disk("one", total, limits).level == level


@pytest.mark.parametrize(
    ("limits", "needed"),
    [
        ({"low": "85%"}, 150),
        ({"low": "0.85"}, 150),
        ({"low": "1kb"}, 1024),
        ({"low": "85%", "low.max_headroom": "100b"}, 100),
        ({"low": "85%", "low.max_headroom": "-1"}, 150),
    ],
)
def test_watermarks_are_shares_or_sizes(limits: dict[str, str], needed: float) -> None:
    assert doctor_elasticsearch.free_needed(limits, "low", 1000) == pytest.approx(needed)

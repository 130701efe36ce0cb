"""A broker with TLS and logins accepts valid logins; the others fail with reason and remedy."""

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.connect import Connection
from broker.consume import GroupReader, PartitionReader, read_all
from broker.errors import BrokerFailed, DeliveryFailed, EpochAborted
from broker.produce import Producer
from broker.reach import reach
from broker.transactions import transactional_id
from commands.wiring.broker import connection_of
from deploy.stack.kafka import Kafka
from deploy.stack.ports import HOST, free_port
from schemas.errors import Busy, SettingsError
from schemas.settings.model import BrokerSettings
from schemas.topics import TopicSettings
from tests.support.kafka.topics import admin, done, make, write
from tests.support.reading import read_count
from tests.support.servers import need_kafka

PASSWORD = "made up"
OPEN, CLOSED = "open", "closed"
FLOW = "ours"
JAAS = "org.apache.kafka.common.security"


def certificate(folder: Path, name: str) -> Path:
    """A certificate for loopback that signs itself, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(pem, *plain) + built.public_bytes(pem))
    return path


def guarded_broker(folder: Path, pem: Path, port: int) -> Kafka:
    """A broker whose plain listener is its own; the other one is encrypted and requires a login."""
    broker = Kafka(
        folder,
        format_options=["--add-scram", f"SCRAM-SHA-512=[name=alice,password={PASSWORD}]"],
    )
    plain, controller = (f"{HOST}:{broker.ports[name]}" for name in ("port", "controller"))
    ours = "listener.name.guarded"
    broker.properties |= {
        "listeners": f"PLAINTEXT://{plain},CONTROLLER://{controller},GUARDED://{HOST}:{port}",
        "advertised.listeners": f"PLAINTEXT://{plain},GUARDED://{HOST}:{port}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL"
        ),
        f"{ours}.ssl.keystore.type": "PEM",
        f"{ours}.ssl.keystore.location": str(pem),
        f"{ours}.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        f"{ours}.scram-sha-512.sasl.jaas.config": f"{JAAS}.scram.ScramLoginModule required;",
        f"{ours}.plain.sasl.jaas.config": (
            f'{JAAS}.plain.PlainLoginModule required user_alice="{PASSWORD}";'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    return broker


def allow_alice(kafka: Connection) -> None:
    """Everything on one topic, to see the other one, and every group."""
    rights = [
        (ResourceType.TOPIC, OPEN, AclOperation.ALL),
        (ResourceType.TOPIC, CLOSED, AclOperation.DESCRIBE),
        (ResourceType.GROUP, "*", AclOperation.ALL),
        (ResourceType.BROKER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE),
    ]
    client = admin(kafka)
    literal, yes = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    prefixed = ResourcePatternType.PREFIXED
    bindings = [
        AclBinding(*(kind, name, literal, "User:alice", "*", what, yes))
        for kind, name, what in rights
    ]
    bindings += [
        AclBinding(
            *(ResourceType.TRANSACTIONAL_ID, f"{FLOW}-", prefixed, "User:alice", "*", what, yes)
        )
        for what in (AclOperation.WRITE, AclOperation.DESCRIBE)
    ]
    done(client.create_acls(bindings))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerSettings]:
    """Settings with alice's login."""
    folder = tmp_path_factory.mktemp("guarded")
    pem = certificate(folder, "broker")
    certificate(folder, "stranger")
    port = free_port()
    need_kafka()
    with guarded_broker(folder / "broker", pem, port) as broker:
        inside = Connection(broker.address["bootstrap"])
        make(inside, TopicSettings(OPEN), TopicSettings(CLOSED))
        allow_alice(inside)
        yield BrokerSettings(
            bootstrap=f"{HOST}:{port}",
            security_protocol="SASL_SSL",
            user="alice",
            password=PASSWORD,
            ca=str(pem),
        )


def changed(settings: BrokerSettings, **other: object) -> Connection:
    return connection_of(msgspec.structs.replace(settings, **other))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_who_logs_in_over_tls_writes_and_reads(guarded: BrokerSettings, mechanism: str) -> None:
    alice = changed(guarded, sasl_mechanism=mechanism)
    reach(alice)
    held = len(list(read_all(alice, OPEN)))
    write(alice, OPEN, [1, 2, 3])
    with GroupReader(alice, f"readers-{mechanism}", [OPEN]) as reader:
        read_count(reader, held + 3)
        reader.commit()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_a_wrong_password_says_so(guarded: BrokerSettings, mechanism: str) -> None:
    with pytest.raises(BrokerFailed, match=r"refuses the login; check broker.user, ORDERTIDE_BRO"):
        reach(changed(guarded, password="wrong", sasl_mechanism=mechanism))


def test_an_unknown_ca_says_so(guarded: BrokerSettings) -> None:
    stranger = Path(str(guarded.ca)).with_name("stranger.pem")
    with pytest.raises(BrokerFailed, match=r"no encrypted connection; check broker.ca"):
        reach(changed(guarded, ca=str(stranger)))


def test_no_encryption_where_it_is_wanted_is_an_answer_that_never_comes(
    guarded: BrokerSettings,
) -> None:
    with pytest.raises(Busy, match=r"no answer within 2 s.*check .*broker.security_protocol"):
        reach(Connection(guarded.bootstrap), timeout_s=2.0)


def test_a_topic_that_is_not_ours_says_so_to_readers_and_writers(guarded: BrokerSettings) -> None:
    alice = connection_of(guarded)
    with (
        PartitionReader(alice, CLOSED, 0, 0) as reader,
        pytest.raises(BrokerFailed, match=r"closed.*TOPIC_AUTHORIZATION_FAILED.*ACLs"),
    ):
        read_count(reader, 1)
    producer = Producer(alice)
    producer.send(CLOSED, b"k", b"v")
    with pytest.raises(DeliveryFailed, match=r"closed.*allow broker.user to WRITE to the topic"):
        producer.flush()
    producer.close()


def test_transactional_ids_are_ours_by_their_prefix_and_others_are_refused_by_name(
    guarded: BrokerSettings,
) -> None:
    alice = connection_of(guarded)
    with closing(Producer(alice, transactional_id=transactional_id(FLOW, 3))) as producer:
        producer.init_transactions()
        producer.send(OPEN, b"k", b"v")
        producer.flush()
        producer.send(CLOSED, b"k", b"v")
        for _ in range(2):
            with pytest.raises(DeliveryFailed, match="TOPIC_AUTHORIZATION_FAILED") as refused:
                producer.flush()
            assert not isinstance(refused.value, EpochAborted), "a new start doesn't mend it"
            with pytest.raises(DeliveryFailed, match="TOPIC_AUTHORIZATION_FAILED"):
                producer.send(OPEN, b"k", b"v")
    with (
        closing(Producer(alice, transactional_id=transactional_id("another", 3))) as other,
        pytest.raises(BrokerFailed, match=r"producer another-03: .*transactional ids that begin"),
    ):
        other.init_transactions()


def test_settings_that_contradict_each_other_are_told_together() -> None:
    with pytest.raises(SettingsError, match=r"broker.user is missing.*ORDERTIDE_BROKER_PASSWORD"):
        connection_of(BrokerSettings(security_protocol="SASL_SSL"))
    with pytest.raises(SettingsError, match=r"broker.password is set, but PLAINTEXT has no login"):
        connection_of(BrokerSettings(password=PASSWORD))
    with pytest.raises(SettingsError, match=r"broker.ca: there is no file nowhere.pem"):
        connection_of(BrokerSettings(security_protocol="SSL", ca="nowhere.pem"))


def test_properties_go_before_the_settings_they_stand_for() -> None:
    settings = BrokerSettings(
        security_protocol="SASL_PLAINTEXT",
        user="alice",
        properties={"sasl.password": "other"},
    )
    assert connection_of(settings).properties["sasl.password"] == "other"


def test_a_password_is_not_shown() -> None:
    settings = BrokerSettings(security_protocol="SASL_SSL", user="alice", password=PASSWORD)
    assert PASSWORD not in repr(settings)
    assert PASSWORD not in repr(connection_of(settings))

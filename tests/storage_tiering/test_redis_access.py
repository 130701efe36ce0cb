"""Users and passwords: the rights that docs/operations.md names are enough, and no secret shows."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.redis import Redis
from gateway.claims import ATTEMPT_MS, RedisClaims
from schemas.errors import Busy, SettingsError
from schemas.settings.model import read_settings
from storage_tiering.hot.redis import Access, HotSettings, RedisTier, connect, connect_cluster
from tests.support.tiers.orders import HOT_KEEP_MS, START, Log, accepted, document
from tests.support.tiers.redis_servers import cli, running, running_cluster

OPERATIONS = Path(__file__).resolve().parents[2] / "docs/operations.md"
PASSWORD = "ge/heim#1@"
ORDERTIDE = Access(user="ordertide", password=PASSWORD)


def documented(user: str) -> list[str]:
    """The arguments of the ACL command that the documentation gives for a user."""
    found = re.search(rf"^ACL SETUSER {user} (.+)$", OPERATIONS.read_text("utf-8"), re.MULTILINE)
    assert found, f"docs/operations.md has no ACL rule of {user}"
    return ["acl", "setuser", user, *found[1].replace("PASSWORD", PASSWORD).split()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running(tmp_path_factory.mktemp("acl")) as started:
        for user in ("ordertide", "reader", "gateway"):
            cli(started, *documented(user))
        yield started


def tier_of(server: Redis, access: Access | None, prefix: str = "ordertide:") -> RedisTier:
    return RedisTier(connect(server.address["url"], access), HotSettings(prefix=prefix))


def do_everything(tier: RedisTier) -> None:
    log = Log()
    tier.write_orders(log.changes(document(), document("gone")))
    tier.write_events(log.events(*(accepted(event_id=f"{n}", at=START + n) for n in range(300))))
    tier.write_orders([log.retirement("gone")])
    assert tier.find("default", "e481f51c") is not None
    assert tier.counts().orders == 1
    tier.expire(START)
    tier.expire(START + HOT_KEEP_MS)
    assert tier.counts().orders == 0


def test_the_documented_rights_are_enough(server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tier = tier_of(server, ORDERTIDE)
    do_everything(tier)
    tier.close()
    assert "can't be checked" not in caplog.text


def test_the_documented_rights_are_enough_for_a_cluster(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as nodes:
        for node in nodes:
            cli(node, *documented("ordertide"))
        tier = RedisTier(connect_cluster(nodes[0].address["url"], ORDERTIDE))
        do_everything(tier)
        tier.close()
        stranger = Access(user="ordertide", password="wrong")
        refused = RedisTier(connect_cluster(nodes[0].address["url"], stranger))
        with pytest.raises(SettingsError, match="check the user and password"):
            refused.find("default", "e481f51c")


def test_a_reader_finds_and_does_not_write(server: Redis) -> None:
    writer = tier_of(server, ORDERTIDE)
    writer.write_orders(Log().changes(document()))
    reader = tier_of(server, Access(user="reader", password=PASSWORD))
    assert reader.find("default", "e481f51c") is not None
    with pytest.raises(SettingsError, match="rights"):
        reader.write_orders(Log().changes(document()))
    for tier in (writer, reader):
        tier.close()


def test_a_gateway_finds_and_writes_claims_alone(server: Redis) -> None:
    access = Access(user="gateway", password=PASSWORD)
    claims = RedisClaims(connect(server.address["url"], access), "ordertide:")
    assert claims.claim("a", "digest", START).is_ours
    claims.release("a")
    assert claims.claim("a", "digest", START + ATTEMPT_MS).is_ours
    claims.answered("a", b"answer")
    assert claims.claim("a", "digest", START).answer == b"answer"
    claims.close()
    tier = tier_of(server, access)
    assert tier.find("default", "nothing") is None
    with pytest.raises(SettingsError, match="rights"):
        tier.write_orders(Log().changes(document()))
    tier.close()


def test_keys_of_others_are_refused_with_the_reason(server: Redis) -> None:
    tier = tier_of(server, ORDERTIDE, prefix="somebody-else:")
    with pytest.raises(SettingsError, match="rights"):
        tier.write_orders(Log().changes(document()))
    with pytest.raises(SettingsError, match="rights"):
        tier.find("default", "e481f51c")
    tier.close()


@pytest.mark.parametrize(
    "access",
    [
        Access(user="ordertide", password="wrong-one"),
        Access(user="nobody", password=PASSWORD),
        Access(password="wrong-one"),
    ],
)
def test_a_wrong_password_is_said_without_the_password(
    server: Redis, access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tier = tier_of(server, access)
    cli(server, "acl", "setuser", "default", ">another")
    try:
        with pytest.raises(SettingsError, match="check the user and password") as caught:
            tier.write_orders(Log().changes(document()))
    finally:
        cli(server, "--pass", "another", "--no-auth-warning", "acl", "setuser", "default", "nopass")
    assert_hidden(str(access.password), caught.value, caplog.text)


def test_a_server_that_is_gone_is_said_without_the_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running(tmp_path) as gone:
        url = gone.address["url"].replace("://", "://ordertide:geheim@")
    for tier in (RedisTier(connect(url)), RedisTier(connect_cluster(url, ORDERTIDE))):
        with pytest.raises(Busy) as caught:
            tier.find("default", "e481f51c")
        assert_hidden("geheim", caught.value, caplog.text)
        tier.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:geheim/1@localhost:6379",
        "redis://:geheim#1@localhost:6379",
        "redis://[geheim@localhost:6379",
        "geheim@localhost",
        "http://:geheim@localhost:6379",
    ],
)
def test_a_password_that_breaks_the_url_is_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError, match="no URL of Redis") as caught:
        connect(url)
    assert_hidden("geheim", caught.value, "")


def test_access_shows_no_password() -> None:
    assert PASSWORD not in repr(ORDERTIDE)


def assert_hidden(secret: str, error: BaseException, log: str) -> None:
    """Neither in the error, nor in those behind it as a log would show them, nor in the log."""
    assert secret not in log
    shown: BaseException | None = error
    while shown is not None:
        assert secret not in str(shown)
        assert secret not in repr(shown)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


def test_settings_show_no_password() -> None:
    hot = read_settings(None, {"ORDERTIDE_HOT_URL": "redis://:geheim@redis:6379/0"}).hot
    assert "geheim" not in repr(hot)
    assert "redis:6379" in repr(hot)

"""TLS to a real Redis: an authority of one's own, and a clear reason where the two don't agree."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.stack.ports import free_port
from schemas.errors import Busy, OrdertideError, SettingsError
from storage_tiering.hot.redis import Access, RedisTier, connect, connect_cluster
from tests.support.tiers.certificates import Authority
from tests.support.tiers.orders import Log, document
from tests.support.tiers.redis_servers import cli, need_redis, running
from tests.support.waiting import wait_until


class Secure(NamedTuple):
    """Servers with certificates of `authority`, by their URLs."""

    authority: Authority
    stranger: Authority
    folder: Path
    url: str
    strict_url: str  # requires a client certificate
    elsewhere_url: str  # has one for another host
    plain_url: str  # speaks no TLS


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    need_redis()
    need_tls()
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = Authority(folder), Authority(folder, "stranger")
    ports = [free_port() for _ in range(3)]
    with (
        running(folder / "open", tls_options(authority, ports[0], "no")) as plain,
        running(folder / "strict", tls_options(authority, ports[1], "yes")),
        running(folder / "else", tls_options(authority, ports[2], "no", address="192.0.2.1")),
    ):
        easy, strict, elsewhere = (f"rediss://127.0.0.1:{port}/0" for port in ports)
        yield Secure(authority, stranger, folder, easy, strict, elsewhere, plain.address["url"])


def need_tls() -> None:
    """Skip with a Redis that was built without."""
    helped = subprocess.run(
        ["redis-cli", "--help"], capture_output=True, text=True, timeout=10, check=False
    )
    if "--cacert" not in helped.stdout + helped.stderr:
        pytest.skip("this Redis was built without TLS")


def tls_options(
    authority: Authority, port: int, asks_for_ours: str, address: str = "127.0.0.1"
) -> dict[str, str]:
    """A server's options; a plain port stays open beside the TLS one."""
    signed = authority.sign(f"server-{port}", address)
    return {
        "tls-port": str(port),
        "tls-cert-file": signed.certificate,
        "tls-key-file": signed.key,
        "tls-ca-cert-file": authority.ca,
        "tls-auth-clients": asks_for_ours,
    }


def write_and_find(tier: RedisTier) -> None:
    tier.write_orders(Log().changes(document()))
    assert tier.find("default", "e481f51c") is not None
    tier.close()


def refusal(
    url: str, access: Access | None, kind: type[OrdertideError] | None = SettingsError
) -> str:
    tier = RedisTier(connect(url, access))
    with pytest.raises(kind or (SettingsError, Busy)) as caught:
        tier.find("default", "e481f51c")
    tier.close()
    return str(caught.value)


def test_with_the_authority_named_it_is_trusted(secure: Secure) -> None:
    write_and_find(RedisTier(connect(secure.url, Access(ca=secure.authority.ca))))


def test_a_certificate_of_ours_is_shown_where_it_is_asked_for(secure: Secure) -> None:
    ours = secure.authority.sign("ours")
    access = Access(ca=secure.authority.ca, certificate=ours.certificate, key=ours.key)
    write_and_find(RedisTier(connect(secure.strict_url, access)))


def test_an_unknown_authority_is_a_wrong_setting(secure: Secure) -> None:
    assert "check [hot] ca" in refusal(secure.url, None)
    assert "check [hot] ca" in refusal(secure.url, Access(ca=secure.stranger.ca))


def test_a_certificate_for_another_host_is_a_wrong_setting(secure: Secure) -> None:
    said = refusal(secure.elsewhere_url, Access(ca=secure.authority.ca))
    assert "names this host" in said


def test_no_certificate_of_ours_that_the_server_trusts_is_said(secure: Secure) -> None:
    # In TLS 1.3 the server's word comes after the handshake; a write may fail before it is read,
    # and then it looks like a broken connection.
    foreign = secure.stranger.sign("foreign")
    mine = Access(ca=secure.authority.ca, certificate=foreign.certificate, key=foreign.key)
    for access in (mine, Access(ca=secure.authority.ca)):
        assert "set [hot] certificate and key" in refusal(secure.strict_url, access, None)


def test_tls_on_one_side_only_is_said(secure: Secure) -> None:
    # To Redis a TLS greeting is the beginning of a command: it waits for the rest.
    access = Access(ca=secure.authority.ca, timeout_s=0.3)
    said = refusal(secure.plain_url.replace("redis://", "rediss://"), access, Busy)
    assert "the port speaks TLS" in said
    assert "rediss://" in refusal(secure.url.replace("rediss://", "redis://"), None, Busy)


def test_files_that_are_none_or_not_for_tls_are_named_at_once(secure: Secure) -> None:
    with pytest.raises(SettingsError, match=r"ca: missing\.pem is no file"):
        connect(secure.url, Access(ca="missing.pem"))
    with pytest.raises(SettingsError, match=r"begin .* with rediss://"):
        connect(secure.plain_url, Access(ca=secure.authority.ca))


def test_a_key_that_is_not_the_certificates_is_a_wrong_setting(secure: Secure) -> None:
    one, other = secure.authority.sign("one"), secure.authority.sign("other")
    access = Access(ca=secure.authority.ca, certificate=one.certificate, key=other.key)
    assert "not the key of" in refusal(secure.strict_url, access)
    no_pem = secure.folder / "text.pem"
    no_pem.write_text("not a certificate")
    assert "PEM" in refusal(secure.url, Access(ca=str(no_pem)))


def test_a_cluster_speaks_tls_too(tmp_path: Path) -> None:
    need_redis()
    need_tls()
    authority = Authority(tmp_path)
    port = free_port()
    options = tls_options(authority, port, "no") | {
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "tls-cluster": "yes",
        "appendonly": "no",
    }
    with running(tmp_path / "node", options) as node:
        cli(node, "cluster", "addslotsrange", "0", "16383")
        wait_until(lambda: "cluster_state:ok" in cli(node, "cluster", "info"), "the cluster")
        cluster = connect_cluster(f"rediss://127.0.0.1:{port}", Access(ca=authority.ca))
        write_and_find(RedisTier(cluster))

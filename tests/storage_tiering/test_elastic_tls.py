"""Elasticsearch behind TLS and a key: trust, authentication, and the errors of both."""

from base64 import b64encode
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from commands.wiring.definitions import vocabulary_of
from schemas.errors import SettingsError
from schemas.settings.model import Settings, WarmSettings
from storage_tiering.warm.elastic.access import Access, connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.opening import open_elastic
from tests.support.tiers.certificates import Authority
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.orders import Log, accepted, document
from tests.support.tiers.tls_proxy import tls_proxy

pytestmark = pytest.mark.stack
API_KEY = "aWQ6c2VjcmV0"
USER, PASSWORD = "ordertide", "hunter2"
BASIC = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
ALLOWED = {f"ApiKey {API_KEY}", f"Basic {BASIC}"}


class Secure(NamedTuple):
    """A server behind TLS, the authority that vouches for it, and one that doesn't."""

    url: str
    elsewhere_url: str  # with a certificate for another host
    prefix: str
    ca: str
    stranger_ca: str


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = Authority(folder), Authority(folder, "stranger")
    ours, other = authority.sign("elastic"), authority.sign("elsewhere", "192.0.2.1")
    with (
        shared_place() as (behind, prefix),
        tls_proxy(behind, ALLOWED, ours) as url,
        tls_proxy(behind, ALLOWED, other) as elsewhere_url,
    ):
        yield Secure(url, elsewhere_url, prefix, authority.ca, stranger.ca)


def asked(url: str, access: Access) -> None:
    tier = ElasticTier(connect(url, access))
    try:
        tier.find("default", "e481f51c")
    finally:
        tier.close()


@pytest.mark.parametrize("who", [{"api_key": API_KEY}, {"user": USER, "password": PASSWORD}])
def test_the_tier_works_as_the_settings_say(secure: Secure, who: dict[str, str]) -> None:
    warm = WarmSettings(url=secure.url, prefix=secure.prefix, ca=secure.ca, **who)
    tier = open_elastic(Settings(warm=warm))
    assert {
        change.did for change in tier.templates.install(vocabulary_of(Settings()), tier.periods)
    } == {"as it was"}
    log, order_id = Log(), f"order-of-{'-'.join(who)}"
    tier.write_orders(log.changes(document(order_id)))
    tier.write_events(log.events(accepted(order_id)))
    assert tier.flush(force=True)
    found = tier.find("default", order_id)
    assert found is not None
    assert len(found.timeline) == 1
    tier.close()


@pytest.mark.parametrize(
    "who", [Access(api_key="bm86Ym9keQ=="), Access(user=USER, password="12345"), Access()]
)
def test_who_is_not_let_in_is_told_what_to_check(secure: Secure, who: Access) -> None:
    access = Access(api_key=who.api_key, user=who.user, password=who.password, ca=secure.ca)
    with pytest.raises(SettingsError, match="unable to authenticate; check the API key") as refused:
        asked(secure.url, access)
    assert "12345" not in str(refused.value)


@pytest.mark.parametrize("ca", ["stranger", None])
def test_a_server_for_which_nobody_we_know_vouches_gets_no_secret(
    secure: Secure, ca: str | None
) -> None:
    access = Access(api_key=API_KEY, ca=secure.stranger_ca if ca else None)
    with pytest.raises(SettingsError, match=r"certificate.*\[warm\] ca"):
        asked(secure.url, access)


def test_a_certificate_for_another_host_is_refused(secure: Secure) -> None:
    with pytest.raises(SettingsError, match=r"doesn't match '192\.0\.2\.1'; check \[warm\] ca"):
        asked(secure.elsewhere_url, Access(api_key=API_KEY, ca=secure.ca))


def test_a_server_that_speaks_no_tls_is_said_to(secure: Secure) -> None:
    with shared_place() as (plain, _), pytest.raises(SettingsError, match="Elasticsearch and TLS"):
        asked(plain.replace("http://", "https://"), Access(ca=secure.ca))

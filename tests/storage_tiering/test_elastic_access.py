"""Access to Elasticsearch: immediate refusals, and secrets that stay secret."""

from pathlib import Path

import pytest

from schemas.errors import Busy, SettingsError
from storage_tiering.warm.elastic.access import Access, connect
from storage_tiering.warm.elastic.tier import ElasticTier
from tests.support.tiers.foreign_server import foreign_server

SECRET = "hunter2"


@pytest.mark.parametrize("url", ["http://", f"redis://u:{SECRET}@host:1", "host", "http://host:x"])
def test_an_unusable_url_is_named_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match=r"\[warm\] url is no URL") as refused:
        connect(url)
    assert SECRET not in str(refused.value)


def test_an_api_key_and_a_user_are_one_too_many() -> None:
    with pytest.raises(SettingsError, match="set one"):
        connect("http://host:9200", Access(api_key="x", user="y"))


def test_an_authority_needs_tls_and_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is for TLS only"):
        connect("http://host:9200", Access(ca="ca.pem"))
    with pytest.raises(SettingsError, match="no file"):
        connect("https://host:9200", Access(ca=str(tmp_path / "ca.pem")))


def test_secrets_stay_out_of_representations() -> None:
    assert SECRET not in repr(Access(api_key=SECRET, user="u", password=SECRET))


def test_a_server_that_is_away_is_busy() -> None:
    tier = ElasticTier(connect("http://127.0.0.1:9"))
    with pytest.raises(Busy, match="onnection"):
        tier.find("default", "e481f51c")
    tier.close()


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_refused_is_told_what_to_check(status: int) -> None:
    said = {"error": {"type": "security_exception", "reason": "unable to authenticate"}}
    with foreign_server(status, said, is_elasticsearch=True) as url:
        tier = ElasticTier(connect(url, Access(user="u", password=SECRET)))
        with pytest.raises(SettingsError, match="unable to authenticate; check the API key") as no:
            tier.find("default", "e481f51c")
        tier.close()
    assert SECRET not in str(no.value)


def test_another_server_at_the_address_is_no_elasticsearch() -> None:
    with foreign_server(200, {"hello": "world"}, is_elasticsearch=False) as url:
        tier = ElasticTier(connect(url))
        with pytest.raises(SettingsError, match="it has to be Elasticsearch"):
            tier.find("default", "e481f51c")
        tier.close()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_proxy_that_is_overloaded_is_busy(status: int) -> None:
    with foreign_server(status, "<html>try later</html>", is_elasticsearch=True) as url:
        tier = ElasticTier(connect(url))
        with pytest.raises(Busy, match=str(status)):
            tier.find("default", "e481f51c")
        tier.close()

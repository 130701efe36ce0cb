"""Settings from the environment and from files that it names; secrets stay out of the TOML file."""

from pathlib import Path

import pytest

from schemas.errors import SettingsError
from schemas.settings.meanings import MEANINGS
from schemas.settings.model import KEYS, read_settings, read_sourced
from schemas.settings.secrets import is_secret, masked


def written(folder: Path, text: str, name: str = "ordertide.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_any_key_may_be_given_as_a_file_that_holds_it(tmp_path: Path) -> None:
    secret = written(tmp_path, "redis://:geheim@redis:6379/0\n", "url")
    settings = read_settings(None, {"ORDERTIDE_HOT_URL_FILE": str(secret)})
    assert settings.hot.url == "redis://:geheim@redis:6379/0"


def test_an_entry_of_a_table_is_set_by_its_name_with_underscores(tmp_path: Path) -> None:
    path = written(tmp_path, '[broker.properties]\n"sasl.mechanism" = "PLAIN"\n')
    password = written(tmp_path, "geheim", "password")
    environment = {"ORDERTIDE_BROKER_PROPERTIES_SASL_PASSWORD_FILE": str(password)}
    properties = read_settings(path, environment).broker.properties
    assert properties == {"sasl.mechanism": "PLAIN", "sasl.password": "geheim"}


def test_dotted_names_of_a_table_need_no_quotes(tmp_path: Path) -> None:
    text = '[broker.properties]\nsecurity.protocol = "SASL_SSL"\n"sasl.mechanism" = "PLAIN"\n'
    properties = read_settings(written(tmp_path, text), {}).broker.properties
    assert properties == {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}


def test_a_table_in_the_environment_is_json() -> None:
    environment = {"ORDERTIDE_BROKER_PROPERTIES": '{"linger.ms": "5"}'}
    assert read_settings(None, environment).broker.properties == {"linger.ms": "5"}


def test_every_value_knows_where_it_came_from(tmp_path: Path) -> None:
    path = written(tmp_path, '[track]\nworkers = 2\nclock = "recorded"\n')
    values = read_sourced(path, {"ORDERTIDE_TRACK_WORKERS": "3"}).values
    origins = {place: given.origin for place, given in values.items()}
    assert origins == {
        ("track", "workers"): "ORDERTIDE_TRACK_WORKERS",
        ("track", "clock"): "file",
    }


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        (
            '[broker]\nproperties = {"sasl.password" = "geheim"}\n',
            "ORDERTIDE_BROKER_PROPERTIES_SASL_PASSWORD_FILE",
        ),
        ('[hot]\nurl = "redis://:geheim@redis/0"\n', "ORDERTIDE_HOT_URL_FILE"),
        ('[hot]\nurl = "redis://redis/0?password=geheim"\n', "ORDERTIDE_HOT_URL_FILE"),
    ],
)
def test_a_secret_in_the_file_is_refused_with_the_way_out(
    tmp_path: Path, text: str, variable: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(written(tmp_path, text), {})
    assert variable in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://:geheim@redis:port/0", "redis://:geheim@redis:99999/0", "://:geheim@redis:x"]
)
def test_a_malformed_url_with_a_password_is_not_repeated_in_the_error(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(None, {"ORDERTIDE_HOT_URL": url})
    assert "hot.url" in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"ORDERTIDE_HOT_URL_FILE": "nowhere/url"},
            "names the file with the value: nowhere/url: No such",
        ),
        (
            {"ORDERTIDE_HOT_URL": "redis://a", "ORDERTIDE_HOT_URL_FILE": "tests/conftest.py"},
            "ORDERTIDE_HOT_URL_FILE and ORDERTIDE_HOT_URL are both set",
        ),
        (
            {"ORDERTIDE_HOT_ULR": "redis://a"},
            "ORDERTIDE_HOT_ULR: hot.ulr: unknown key; did you",
        ),
        ({"ORDERTIDE_HOT_ULR_FILE": "x"}, "hot.ulr_file: unknown key; "),
        ({"ORDERTIDE_BROKER_PROPERTIES": "linger.ms=5"}, "write the value as JSON"),
        (
            {"ORDERTIDE_TRACK_WORKERS": "0"},
            "ORDERTIDE_TRACK_WORKERS: track.workers: '0' is out",
        ),
    ],
)
def test_a_mistake_in_the_environment_names_its_variable(
    environment: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(None, environment)
    assert words in str(caught.value)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = '[broker]\nbootstrap = "kafka"\n[hot]\nkeep = "3 days"\nurl = "redis"\n[trak]\n'
    with pytest.raises(SettingsError) as caught:
        read_settings(written(tmp_path, text), {})
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1].split()[0] for line in lines] == [
        "broker.bootstrap",
        "hot.keep",
        "hot.url",
        "trak",
    ]


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("hot.password", True),
        ("delivery.token", True),
        ("warm.api_key", True),
        ("broker.properties.ssl.key.password", True),
        ("broker.properties.ssl.key.pem", True),
        ("broker.properties.sasl.oauthbearer.client.secret", True),
        ("broker.properties.sasl.oauthbearer.token.endpoint.url", False),
        ("hot.key", False),
        ("hot.user", False),
        ("privacy.keys", False),
    ],
)
def test_a_secret_is_known_by_its_name(key: str, *, secret: bool) -> None:
    assert is_secret(key) == secret


def test_secrets_are_masked_however_deep() -> None:
    assert masked("x.list", [{"token": "geheim", "url": "http://me:geheim@host/x"}]) == [
        {"token": "***", "url": "http://me:***@host/x"}
    ]


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    paths = {key.path for section in KEYS.values() for key in section.values()}
    assert set(MEANINGS) == paths, "schemas/settings/meanings.py: add or remove a line"

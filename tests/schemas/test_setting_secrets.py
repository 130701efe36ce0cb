"""Secrets: masked wherever they stand in a setting, and in every text that repeats them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.config_show import effective_settings
from schemas.errors import SettingsError
from schemas.settings import secrets as setting_secrets
from schemas.settings.model import read_settings, read_sourced
from schemas.settings.secrets import masked_text
from telemetry.screen import error_text

PROPERTIES = "ORDERTIDE_BROKER_PROPERTIES_"
IN_VARIABLES = {
    "OAuth's properties": (f"{PROPERTIES}SASL_OAUTHBEARER_CONFIG", "principal=x secret=HUSH"),
    "a JAAS configuration": (
        f"{PROPERTIES}SASL_JAAS_CONFIG",
        'org.apache.PlainLoginModule required username="u" password="HUSH";',
    ),
    "a secret in another property": (f"{PROPERTIES}PLUGIN_OPTIONS", "user=x,api_key=HUSH,y=1"),
    "a client secret": (f"{PROPERTIES}SASL_OAUTHBEARER_CLIENT_SECRET", "HUSH"),
    "a key": (f"{PROPERTIES}SSL_KEY_PEM", "HUSH"),
    "an address": ("ORDERTIDE_BROKER_BOOTSTRAP", "u:HUSH@k:9092"),
    "one of several addresses": ("ORDERTIDE_BROKER_BOOTSTRAP", "a:9092,u:HUSH@k:9092,b:9092"),
    "a URL": ("ORDERTIDE_HOT_URL", "redis://u:HUSH@redis:6379/0"),
    "a URL without a user": ("ORDERTIDE_HOT_URL", "redis://:HUSH@redis:6379/0"),
    "a URL's parameter": ("ORDERTIDE_WARM_URL", "https://es:9200/?token=HUSH"),
    "a password with signs": ("ORDERTIDE_HOT_URL", "redis://u:HUSH@,:x@redis:6379/0"),
    "an address of a chat": ("ORDERTIDE_ACT_SECRET_TEAM", "slack://T1JJ3T3L2/A1BRTD4JD/HUSH/#ops"),
    "nodes": ("ORDERTIDE_HOT_NODES", "a:6379,u:HUSH@b:6379"),
    "all properties at once": (
        "ORDERTIDE_BROKER_PROPERTIES",
        '{"sasl.oauthbearer.config": "secret=HUSH", "sasl.password": "HUSH"}',
    ),
}


@pytest.fixture(autouse=True)
def _no_known_secrets() -> Iterator[None]:
    known = set(setting_secrets.KNOWN)
    setting_secrets.KNOWN.clear()
    yield
    setting_secrets.KNOWN.clear()
    setting_secrets.KNOWN.update(known)


@pytest.mark.parametrize(("variable", "text"), IN_VARIABLES.values(), ids=IN_VARIABLES)
def test_show_masks_a_secret_wherever_it_stands(variable: str, text: str) -> None:
    try:
        shown = effective_settings(read_sourced(None, {variable: text}))
    except SettingsError as error:  # an address that isn't allowed is no reason to show it
        shown = str(error)
    assert "HUSH" not in shown
    assert variable in shown


@pytest.mark.parametrize(
    "line",
    [
        '[broker.properties]\n"sasl.oauthbearer.config" = "secret=HUSH"',
        '[broker.properties]\nsasl.jaas.config = "x password=HUSH"',
        '[broker.properties]\nplugin = "secret=HUSH"',
        '[broker]\nbootstrap = "u:HUSH@k:9092"',
        '[hot]\nurl = "redis://u:HUSH@redis:6379/0"',
        '[hot]\nnodes = "a:6379,u:HUSH@b:6379"',
    ],
)
def test_a_secret_in_the_file_is_refused_without_showing_it(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ordertide.toml"
    path.write_text(line + "\n")
    with pytest.raises(SettingsError, match="may not stand in the file") as caught:
        read_settings(path, {})
    assert "HUSH" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Error 111: redis://u:geheim@h:1/0.", "Error 111: redis://u:***@h:1/0."),
        ("GET http://u:p%40ss@h/x?a=1&token=abc&b=2", "GET http://u:***@h/x?a=1&token=***&b=2"),
        ("broker u:pw@kafka:9092: no answer", "broker u:***@kafka:9092: no answer"),
        ('{"user": "u", "password": "geheim"}', '{"user": "u", "password": ***}'),
        ("{'sasl.password': 'geheim'}", "{'sasl.password': ***}"),
        ("https://u:p@ss:w/o@rd@[::1]:9200/", "https://u:***@[::1]:9200/"),
    ],
)  # fmt: skip
def test_what_looks_like_a_password_is_masked_in_any_text(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "hot.password: not set; set ORDERTIDE_HOT_PASSWORD",
        "kafka-1:9092,kafka-2:9092",
        "http://h:8080/a/b?x=1",
        "at 10:15:00 somebody@example.org wrote",
        "shard s03: 17 orders",
        "token bucket is empty",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert masked_text(text) == text


def test_a_secret_of_the_settings_is_masked_in_the_text_of_an_error() -> None:
    read_settings(
        None, {"ORDERTIDE_HOT_PASSWORD": "s3cr%t/x", "ORDERTIDE_HOT_URL": "redis://h:1/0"}
    )
    for form in ("s3cr%t/x", "s3cr%25t%2Fx"):
        assert error_text(SettingsError(f"AUTH {form} was refused")) == (
            "ordertide: AUTH *** was refused"
        )


def test_short_secrets_and_words_of_ours_mask_no_sentence() -> None:
    read_settings(None, {"ORDERTIDE_HOT_PASSWORD": "a", "ORDERTIDE_DELIVERY_TOKEN": "ordertide"})
    read_settings(None, {"ORDERTIDE_STATE_SECRET_KEY": "folder"})
    assert masked_text("ordertide: a subfolder") == "ordertide: a subfolder"

"""Settings: one file, every key overridable by environment, every mistake named."""

from pathlib import Path

import pytest

from schemas.errors import SettingsError
from schemas.settings.model import Settings, read_settings


def written(folder: Path, text: str) -> Path:
    path = folder / "ordertide.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_run_on_one_machine() -> None:
    assert read_settings(None, {}) == Settings()


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    path = written(tmp_path, '[track]\nworkers = 3\n[hot]\nkeep = "24h"\n')
    settings = read_settings(path, {})
    assert (settings.track.workers, settings.hot.keep) == (3, "24h")
    assert settings.broker == Settings().broker


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[track]\nworkers = 3\nclock = "broker"\n')
    environment = {
        "ORDERTIDE_TRACK_CLOCK": "recorded",
        "ORDERTIDE_TRACK_WORKERS": "5",
        "ORDERTIDE_BROKER_EMBEDDED": "true",
        "ORDERTIDE_SEED": "7",
        "PATH": "/bin",
    }
    settings = read_settings(path, environment)
    assert (settings.track.clock, settings.track.workers) == ("recorded", 5)
    assert settings.broker.embedded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[trak]\nworkers = 3\n", ":1: trak: unknown section; did you mean track?"),
        ("[track]\nworker = 3\n", ":2: track.worker: unknown key; did you mean workers?"),
        ("[track]\nzzz = 3\n", ":2: track.zzz: unknown key; known: clock, folder, "),
        (
            '[track]\nworkers = "many"\n',
            ":2: track.workers: 'many' is no whole number; write",
        ),
        (
            '[track]\nclock = "wall"\n',
            ":2: track.clock: 'wall' is none; choose one of bro",
        ),
        ("[track\n", ":1: no TOML at column 7"),
        ("[hot]\nworkers = 3\n", ":2: hot.workers: unknown key; did you mean track.workers?"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_settings(path, {})
    assert str(caught.value).startswith(f"{path}:")
    assert words in str(caught.value)


def test_a_mistake_in_the_environment_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^ORDERTIDE_TRACK_WORKER: .*did you mean workers\?$"):
        read_settings(None, {"ORDERTIDE_TRACK_WORKER": "3"})


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: "):
        read_settings(tmp_path / "nowhere.toml", {})
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"bytes\.toml:1: no text in UTF-8"):
        read_settings(tmp_path / "bytes.toml", {})

"""Missing programs are named, with the package that installs them."""

from pathlib import Path

import pytest

from deploy.stack.errors import StackError
from deploy.stack.programs import find, path_of, require


@pytest.fixture
def folder_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


def put(folder: Path, program: str) -> str:
    path = folder / program
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return str(path)


@pytest.mark.usefixtures("folder_on_path")
def test_everything_missing_is_named_once_with_one_command() -> None:
    with pytest.raises(StackError) as raised:
        require(["redis-server", "java", "javac", "mvn", "java"])
    assert str(raised.value) == (
        "not installed: java, javac, mvn, redis-server; "
        "run 'apt-get install -y --no-install-recommends "
        "maven openjdk-17-jdk-headless redis-server'"
    )


def test_what_is_there_is_not_asked_for(folder_on_path: Path) -> None:
    put(folder_on_path, "java")
    with pytest.raises(StackError, match=r"^not installed: redis-server; .* redis-server'$"):
        require(["java", "redis-server"])


def test_alertmanager_is_found_by_the_name_it_has_elsewhere(folder_on_path: Path) -> None:
    assert find("prometheus-alertmanager") is None
    elsewhere = put(folder_on_path, "alertmanager")
    assert path_of("prometheus-alertmanager") == elsewhere
    packaged = put(folder_on_path, "prometheus-alertmanager")
    assert path_of("prometheus-alertmanager") == packaged


def test_java_home_goes_before_the_path(
    folder_on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder_on_path, "java")
    chosen = put(folder_on_path / "jdk" / "bin", "java")
    monkeypatch.setenv("JAVA_HOME", str(folder_on_path / "jdk"))
    assert path_of("java") == chosen

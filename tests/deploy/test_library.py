"""Jars are fetched once, whole or not at all, also by several processes at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.stack.errors import StackError
from deploy.stack.library import (
    PLACE_VARIABLE,
    home_of,
    installed,
    is_installed,
    run,
    version_of,
)

FETCHER = """
import sys, time
from pathlib import Path
from deploy.stack.library import installed

def build(home):
    with Path(sys.argv[1]).open("a") as builds:
        builds.write("built\\n")
    (home / "one.jar").touch()
    time.sleep(0.2)
    (home / "two.jar").touch()

home = installed("kafka", [Path(sys.argv[2])], build)
print(sorted(path.name for path in home.iterdir()))
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PLACE_VARIABLE, str(tmp_path / "lib"))
    recipe = tmp_path / "pom.xml"
    recipe.write_text("<project/>")
    return recipe


def test_several_processes_fetch_once_and_all_see_the_whole(recipe: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FETCHER, str(tmp_path / "builds"), str(recipe)]
    fetchers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [fetcher.communicate()[0] for fetcher in fetchers]
    assert said == ["['one.jar', 'two.jar']\n"] * 3
    assert (tmp_path / "builds").read_text() == "built\n"


def test_a_fetch_that_fails_leaves_nothing_behind(recipe: Path, tmp_path: Path) -> None:
    def fail(home: Path) -> None:
        (home / "half.jar").touch()
        run([sys.executable, "-c", "raise SystemExit('no network')"], "fetching")

    with pytest.raises(StackError, match="fetching failed: no network"):
        installed("kafka", [recipe], fail)
    assert not is_installed("kafka", [recipe])
    assert [path.name for path in (tmp_path / "lib").iterdir()] == [".lock"]


def test_another_recipe_is_another_folder(recipe: Path) -> None:
    before = home_of("kafka", [recipe])
    recipe.write_text("<project><properties/></project>")
    assert home_of("kafka", [recipe]) != before
    assert version_of("kafka") in before.name


def test_what_is_there_is_not_built_again(recipe: Path) -> None:
    home = installed("hdfs", [recipe], lambda folder: (folder / "a.jar").touch())
    assert installed("hdfs", [recipe], lambda folder: folder.rmdir()) == home
    assert (home / "a.jar").exists()


def test_what_a_killed_fetch_left_is_removed_by_the_next(recipe: Path) -> None:
    home = home_of("hdfs", [recipe])
    left = home.with_name(f".{home.name}-killed")
    left.mkdir(parents=True)
    installed("hdfs", [recipe], lambda folder: (folder / "a.jar").touch())
    assert home.is_dir()
    assert not left.exists()

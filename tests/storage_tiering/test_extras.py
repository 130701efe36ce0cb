"""Clients of servers come with extras, and a tier that lacks its client names the extra."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPENS = """
import sys
sys.modules["{client}"] = None  # as when it is not installed
from schemas.errors import SettingsError
from schemas.settings.model import read_settings
from storage_tiering.{module} import {function}
try:
    {function}(read_settings(None))
except SettingsError as error:
    print(error)
"""
ON_HDFS = {
    "ORDERTIDE_ARCHIVE_WEBHDFS": "localhost:1",
    "ORDERTIDE_ARCHIVE_NAMENODES": "localhost:2",
    "ORDERTIDE_ARCHIVE_FOLDER": "/ordertide",
}
ON_ELASTICSEARCH = {"ORDERTIDE_WARM_URL": "http://localhost:1"}


@pytest.mark.parametrize(
    ("client", "module", "function", "settings", "extra"),
    [
        ("elasticsearch", "warm.opening", "open_warm", ON_ELASTICSEARCH, "elasticsearch"),
        ("hdfs", "archive.opening", "open_archive", ON_HDFS, "hdfs"),
    ],
)
def test_a_tier_without_its_client_names_the_extra(
    client: str, module: str, function: str, settings: dict[str, str], extra: str
) -> None:
    script = OPENS.format(client=client, module=module, function=function)
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": "", **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f"pip install 'ordertide[{extra}]'" in ran.stdout, ran.stdout + ran.stderr

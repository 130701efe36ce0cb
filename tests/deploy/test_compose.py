"""The containers are the servers of `ordertide stack up`, and run the engine's own commands."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.main import COMMANDS
from commands.serve import check_reach
from deploy.stack.kafka import CLUSTER_ID
from deploy.stack.library import version_of
from gateway.access.access import networks_of
from schemas.settings.model import read_settings
from sinks.actions.table import read_actions

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENGINE = {name: service for name, service in SERVICES.items() if service["image"] == "ordertide"}


@pytest.mark.parametrize(
    ("service", "server"),
    [
        ("kafka", "kafka"),
        ("elasticsearch", "elasticsearch"),
        ("kibana", "elasticsearch"),
        ("namenode", "hdfs"),
        ("datanode", "hdfs"),
    ],
)
def test_a_container_has_the_version_of_the_pom(service: str, server: str) -> None:
    assert SERVICES[service]["image"].endswith(f":{version_of(server)}")


@pytest.mark.parametrize("service", sorted(SERVICES.keys() - ENGINE.keys()))
def test_an_image_is_named_with_its_version(service: str) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+$", SERVICES[service]["image"])


def test_every_server_of_the_stack_is_there() -> None:
    servers = {"kafka", "redis", "elasticsearch", "namenode", "datanode"}
    assert servers | {"prometheus", "alertmanager", "kibana", "grafana"} <= SERVICES.keys()
    assert SERVICES["kafka"]["environment"]["CLUSTER_ID"] == CLUSTER_ID


@pytest.mark.parametrize("service", sorted(ENGINE))
def test_a_process_of_the_engine_is_a_command_with_valid_settings(service: str) -> None:
    assert ENGINE[service]["command"][0] in COMMANDS
    settings = read_settings(None, ENGINE[service]["environment"])
    assert settings.broker.bootstrap == "kafka:19092"


@pytest.mark.parametrize("service", sorted(ENGINE.keys() - {"templates"}))  # it ends at once
def test_prometheus_watches_every_process_of_the_engine(service: str) -> None:
    scraped = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    port = ENGINE[service]["environment"]["ORDERTIDE_TELEMETRY_PORT"]
    static, found = scraped[0]["static_configs"][0]["targets"], scraped[0]["dns_sd_configs"]
    if "profiles" in ENGINE[service]:  # it may not run, which is no outage then
        assert {"names": [service], "type": "A", "port": int(port)} in found
    else:
        assert f"{service}:{port}" in static


def test_serve_answers_on_the_port_that_is_published_at_its_public_address() -> None:
    own = read_settings(None, ENGINE["serve"]["environment"]).serve
    check_reach(own)
    assert networks_of(own.behind_proxy)
    assert ENGINE["serve"]["ports"] == [f"127.0.0.1:{own.port}:{own.port}"]
    assert own.public_url == f"http://127.0.0.1:{own.port}"
    port = ENGINE["serve"]["environment"]["ORDERTIDE_TELEMETRY_PORT"]
    assert f"http://127.0.0.1:{port}/readyz" in ENGINE["serve"]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_port_is_published_on_loopback_only(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_what_a_container_refers_to_exists(service: str) -> None:
    definition = SERVICES[service]
    assert set(definition.get("depends_on", {})) <= SERVICES.keys()
    assert {config["source"] for config in definition.get("configs", [])} <= COMPOSE[
        "configs"
    ].keys()
    places = {volume.partition(":")[0] for volume in definition.get("volumes", [])}
    named = {place for place in places if "/" not in place and not place.startswith("$")}
    assert named <= COMPOSE["volumes"].keys()


def test_act_s_table_lies_in_a_folder_of_the_host_and_is_the_shipped_one_without_any() -> None:
    act = ENGINE["act"]
    path = Path(act["environment"]["ORDERTIDE_ACT_ACTIONS"])
    (mount,) = [each for each in act["volumes"] if f":{path.parent}:" in each]
    source = mount.partition(":-")[2].partition("}")[0]
    table = read_actions(ROOT / "deploy" / source / path.name)
    assert {row.channel for row in table.receivers.values()} == {"log"}
    public = ENGINE["serve"]["environment"]["ORDERTIDE_SERVE_PUBLIC_URL"]
    assert act["environment"]["ORDERTIDE_SERVE_PUBLIC_URL"] == public
    assert "engine:/var/lib/ordertide" in act["volumes"], "keys of track, and the secret of serve"

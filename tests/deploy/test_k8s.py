"""The Kubernetes manifests fit the engine: its settings, its commands, its port, each other."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from commands.main import COMMANDS, cli
from commands.poll.accounts import open_accounts
from commands.serve import check_reach
from commands.wiring.gateway import parts_of
from commands.wiring.tiers import writer_group
from dataflows.state.local.sqlite import MEMBERS
from deploy.installation import write_settings
from gateway.access.access import networks_of
from gateway.access.folder import ADMIN_KEY, SECRET
from gateway.application import INGEST_BYTES
from gateway.body import MIB
from gateway.route import EVERYONE
from gateway.routes import ROUTES
from schemas.settings.model import read_settings
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS

K8S = Path(__file__).resolve().parents[2] / "deploy" / "k8s"
BASE = K8S / "base"
KEDA = K8S / "components" / "keda"
EXAMPLE = K8S / "overlays" / "example"
POLL = K8S / "components" / "poll"
FOLDERS = [BASE, KEDA, POLL, EXAMPLE]
SECRETS = "/run/secrets/ordertide"
SETTINGS = "/etc/ordertide"
Json = dict[str, Any]


def documents(folder: Path) -> list[Json]:
    """Every object of the manifests in a folder, kustomization and patches left out."""
    listed = kustomization(folder)["resources"]
    paths = [folder / name for name in listed if name.endswith(".yaml")]
    return [each for path in paths for each in yaml.safe_load_all(path.read_text("utf-8"))]


def kustomization(folder: Path) -> Json:
    read: Json = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    return read


def of_kind(*kinds: str) -> list[Json]:
    found = [*documents(BASE), *documents(POLL)]
    return [each for each in found if each["kind"] in kinds]


WORKLOADS = {each["metadata"]["name"]: each for each in of_kind("Deployment", "StatefulSet")}
SERVICES = {each["metadata"]["name"]: each for each in of_kind("Service")}


def pod(workload: Json) -> Json:
    found: Json = workload["spec"]["template"]["spec"]
    return found


def container(workload: Json) -> Json:
    (found,) = pod(workload)["containers"]
    return dict(found)


def variables(path: Path) -> dict[str, str]:
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    return {name: value for name, value in pairs}  # noqa: C416 - each pair is a list


def with_secrets(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment with its secret files in `folder`: made up, of the right form."""
    there = dict(environment)
    for name, value in environment.items():
        if value.startswith(SECRETS):
            secret = folder / Path(value).name
            secret.write_text("made-up", "utf-8")
            there[name] = str(secret)
    return there


# ---------------------------------------------------------------- kustomize
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_file_is_listed_and_every_listed_file_is_there(folder: Path) -> None:
    listed = kustomization(folder)
    names = [*listed.get("resources", []), *listed.get("components", [])]
    names += [patch["path"] for patch in listed.get("patches", [])]
    for generator in listed.get("configMapGenerator", []):
        names += [*generator.get("files", []), *generator.get("envs", [])]
    assert all((folder / name).exists() for name in names)
    files = {path.name for path in folder.iterdir()} - {"kustomization.yaml"}
    assert files == {name for name in names if not name.startswith("..")}


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_kustomize_builds_it(folder: Path) -> None:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl on the path; install it to have kustomize build the manifests")
    built = subprocess.run(
        [program, "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert built.returncode == 0, built.stderr
    names = [each["metadata"]["name"] for each in yaml.safe_load_all(built.stdout)]
    assert set(WORKLOADS) - ({"poll"} if folder == BASE else set()) <= set(names)


# ---------------------------------------------------------------- settings
def test_the_base_settings_are_accepted() -> None:
    settings = read_settings(BASE / "ordertide.toml", variables(BASE / "servers.env"))
    assert settings.telemetry.host == "0.0.0.0"  # noqa: S104 - probes come from outside the pod


def test_the_example_s_settings_are_accepted(tmp_path: Path) -> None:
    environment = with_secrets(variables(EXAMPLE / "servers.env"), tmp_path)
    settings = read_settings(BASE / "ordertide.toml", environment)
    assert settings.broker.bootstrap == "kafka-bootstrap.kafka:9093"
    assert [account.name for account in open_accounts(settings.poll)] == ["kuaidi100/main"]
    patch = yaml.safe_load((EXAMPLE / "track-size.yaml").read_text("utf-8"))
    env = {each["name"]: each["value"] for each in container(patch)["env"]}
    assert read_settings(BASE / "ordertide.toml", {**environment, **env}).track.workers == 4


def test_no_secret_stands_in_a_manifest() -> None:
    for folder in (BASE, EXAMPLE):
        for name, value in variables(folder / "servers.env").items():
            assert not re.search(r"(PASSWORD|SECRET|TOKEN|API_KEY)$", name), name
            assert not name.endswith("_FILE") or value.startswith(SECRETS)


def test_the_address_that_keda_asks_for_is_set() -> None:
    asked = {t["metadata"]["bootstrapServersFromEnv"] for _, t in triggers()}
    assert asked == {"ORDERTIDE_BROKER_BOOTSTRAP"}
    for folder in (BASE, EXAMPLE):
        assert asked <= set(variables(folder / "servers.env"))


# ---------------------------------------------------------------- pods
@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_the_command_exists(name: str, tmp_path: Path) -> None:
    for each in [*pod(WORKLOADS[name]).get("initContainers", []), container(WORKLOADS[name])]:
        arguments = each["args"]
        assert arguments[0] in COMMANDS
        context = click.Context(cli)
        command: click.Command | None = cli
        rest = list(arguments)
        while isinstance(command, click.Group) and not rest[0].startswith("-"):
            command = command.get_command(context, rest.pop(0))
        assert command is not None
        # The file is not on this machine; another takes its place.
        settings = write_settings(tmp_path / "ordertide.toml", {})
        rest = [str(settings) if word == f"{SETTINGS}/ordertide.toml" else word for word in rest]
        command.make_context(str(command.name), rest)  # refuses what the command does not take


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_the_settings_file_is_where_the_arguments_say(name: str) -> None:
    each = container(WORKLOADS[name])
    path = each["args"][each["args"].index("--settings") + 1]
    mounts = {mount["name"]: mount["mountPath"] for mount in each["volumeMounts"]}
    assert path == f"{SETTINGS}/ordertide.toml"
    assert (mounts["settings"], mounts["secrets"]) == (SETTINGS, SECRETS)


def probes(name: str) -> dict[str, tuple[str, str]]:
    """{probe: path and port} of a workload."""
    each = container(WORKLOADS[name])
    asked = {probe: each[probe]["httpGet"] for probe in each if probe.endswith("Probe")}
    return {probe: (get["path"], get["port"]) for probe, get in asked.items()}


@pytest.mark.parametrize("name", sorted(WORKLOADS.keys() - {"serve"}))
def test_probes_ask_what_health_answers_on_the_port_that_is_set(name: str) -> None:
    each = container(WORKLOADS[name])
    port = read_settings(BASE / "ordertide.toml", {}).telemetry.port
    assert {p["name"]: p["containerPort"] for p in each["ports"]} == {"metrics": port}
    assert probes(name) == {
        "startupProbe": ("/healthz", "metrics"),
        "livenessProbe": ("/healthz", "metrics"),
        "readinessProbe": ("/readyz", "metrics"),
    }
    annotations = WORKLOADS[name]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port)


def test_serve_starts_once_the_live_view_is_loaded_and_is_ready_while_it_answers() -> None:
    settings = read_settings(BASE / "ordertide.toml", variables(BASE / "servers.env"))
    ports = {p["name"]: p["containerPort"] for p in container(WORKLOADS["serve"])["ports"]}
    assert ports == {"metrics": settings.telemetry.port, "http": settings.serve.port}
    assert probes("serve") == {
        "startupProbe": ("/readyz", "metrics"),
        "livenessProbe": ("/healthz", "metrics"),
        "readinessProbe": ("/v1", "http"),
    }
    (index,) = [route for route in ROUTES if route.path == "/v1"]
    assert (index.method, index.roles) == ("GET", EVERYONE)
    assert index.part in parts_of(settings.serve)


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_serve_may_answer_what_comes_through_the_ingress(folder: Path, tmp_path: Path) -> None:
    environment = with_secrets(variables(folder / "servers.env"), tmp_path)
    own = read_settings(BASE / "ordertide.toml", environment).serve
    check_reach(own)
    assert networks_of(own.behind_proxy)
    assert own.public_url
    assert own.public_url.startswith("https://")


def test_each_serve_gets_the_same_two_files() -> None:
    folder = read_settings(BASE / "ordertide.toml", {}).serve.folder
    files = {
        mount["mountPath"]: mount["subPath"]
        for mount in container(WORKLOADS["serve"])["volumeMounts"]
        if mount["name"] == "credentials"
    }
    assert files == {f"{folder}/{name}": name for name in (SECRET, ADMIN_KEY)}
    mounts = {m["mountPath"]: m["name"] for m in container(WORKLOADS["serve"])["volumeMounts"]}
    volumes = {v["name"]: v for v in pod(WORKLOADS["serve"])["volumes"]}
    assert "emptyDir" in volumes[mounts[folder]], "root's folder, where no code can be kept"


def test_the_ingress_leads_to_serve_at_the_public_address() -> None:
    (ingress,) = [each for each in documents(EXAMPLE) if each["kind"] == "Ingress"]
    (rule,) = ingress["spec"]["rules"]
    url = variables(EXAMPLE / "servers.env")["ORDERTIDE_SERVE_PUBLIC_URL"]
    assert url == f"https://{rule['host']}"
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    service = SERVICES[backend["name"]]
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    largest = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert largest == f"{INGEST_BYTES // MIB}m"


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_a_pod_may_do_little_and_has_its_share(name: str) -> None:
    each = container(WORKLOADS[name])
    spec = pod(WORKLOADS[name])
    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    assert each["securityContext"]["readOnlyRootFilesystem"]
    assert {"cpu", "memory"} <= set(each["resources"]["requests"])
    assert "memory" in each["resources"]["limits"]


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_kubernetes_own_variables_are_kept_out(name: str) -> None:
    # A Service called ordertide-track would set ORDERTIDE_TRACK_PORT, an unknown key under [track].
    assert pod(WORKLOADS[name])["enableServiceLinks"] is False


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_every_volume_that_is_mounted_is_there(name: str) -> None:
    spec = pod(WORKLOADS[name])
    claims = WORKLOADS[name]["spec"].get("volumeClaimTemplates", [])
    there = {v["name"] for v in spec["volumes"]} | {c["metadata"]["name"] for c in claims}
    mounted = {mount["name"] for mount in container(WORKLOADS[name])["volumeMounts"]}
    assert mounted == there
    names = [each["name"] for each in spec["volumes"]]
    paths = [each["mountPath"] for each in container(WORKLOADS[name])["volumeMounts"]]
    for each in (names, paths):  # the API server refuses a pod with two of one
        assert len(each) == len(set(each)), name
    maps = {generator["name"] for generator in kustomization(BASE)["configMapGenerator"]}
    volumes = [v["configMap"] for v in spec["volumes"] if "configMap" in v]
    used = {each["name"] for each in volumes if not each.get("optional")}
    used |= {source["configMapRef"]["name"] for source in container(WORKLOADS[name])["envFrom"]}
    assert used == maps


def test_track_s_state_lies_on_its_claim_and_is_one_pod() -> None:
    settings = read_settings(BASE / "ordertide.toml", {})
    mounts = {m["name"]: m["mountPath"] for m in container(WORKLOADS["track"])["volumeMounts"]}
    for path in (settings.track.folder, settings.privacy.keys):
        assert Path(path).is_relative_to(mounts["state"])
    assert WORKLOADS["track"]["kind"] == "StatefulSet"
    assert WORKLOADS["track"]["spec"]["replicas"] == 1


@pytest.mark.parametrize("name", ["act", "poll"])
def test_a_worker_with_a_lease_is_one_pod_with_its_folder_on_its_claim(name: str) -> None:
    settings = read_settings(BASE / "ordertide.toml", {})
    folder = {"act": settings.act.folder, "poll": settings.poll.folder}[name]
    mounts = {m["name"]: m["mountPath"] for m in container(WORKLOADS[name])["volumeMounts"]}
    assert Path(folder).is_relative_to(mounts["state"])
    claims = {claim["metadata"]["name"] for claim in of_kind("PersistentVolumeClaim")}
    volumes = {v["name"]: v for v in pod(WORKLOADS[name])["volumes"]}
    claimed = volumes["state"]["persistentVolumeClaim"]["claimName"]
    assert (claimed, claimed in claims) == (name, True)
    assert WORKLOADS[name]["spec"]["replicas"] == 1
    assert WORKLOADS[name]["spec"]["strategy"] == {"type": "Recreate"}


def test_act_has_a_table_of_one_s_own_and_the_secret_of_serve() -> None:
    settings = read_settings(BASE / "ordertide.toml", {})
    mounts = {m["mountPath"]: m for m in container(WORKLOADS["act"])["volumeMounts"]}
    volumes = {v["name"]: v for v in pod(WORKLOADS["act"])["volumes"]}
    mount = mounts[settings.serve.folder]
    assert mount["readOnly"] is True
    assert volumes[mount["name"]]["secret"]["secretName"] == "ordertide-serve"
    comments = (BASE / "act.yaml").read_text("utf-8")
    (path,) = re.findall(r"^#   ORDERTIDE_ACT_ACTIONS=(.*)$", comments, re.MULTILINE)
    assert volumes[mounts[str(Path(path).parent)]["name"]]["configMap"]["optional"] is True


# ---------------------------------------------------------------- labels
@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_selectors_find_their_own_pods(name: str) -> None:
    labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    assert WORKLOADS[name]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["app.kubernetes.io/component"] == name


def test_every_workload_has_a_disruption_budget_of_its_own() -> None:
    budgets = of_kind("PodDisruptionBudget")
    selected = [b["spec"]["selector"]["matchLabels"] for b in budgets]
    assert sorted(labels["app.kubernetes.io/component"] for labels in selected) == sorted(WORKLOADS)
    assert {labels["app.kubernetes.io/name"] for labels in selected} == {common_name()}
    assert all(b["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" for b in budgets)


def common_name() -> str:
    (labels,) = kustomization(BASE)["labels"]
    assert labels["includeTemplates"]
    name: str = labels["pairs"]["app.kubernetes.io/name"]
    return name


def test_only_metrics_and_track_itself_get_through() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind("NetworkPolicy")}
    name = {"app.kubernetes.io/name": common_name()}
    assert policies["metrics-only"]["podSelector"]["matchLabels"] == name
    assert policies["metrics-only"]["ingress"][0]["ports"] == [
        {"protocol": "TCP", "port": 9464, "endPort": 9464 + MEMBERS - 1}
    ]
    serve = {**name, "app.kubernetes.io/component": "serve"}
    assert policies["serve-http"]["podSelector"]["matchLabels"] == serve
    port = read_settings(BASE / "ordertide.toml", {}).serve.port
    assert policies["serve-http"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port}]
    exchange = policies["track-exchange"]
    track = {**name, "app.kubernetes.io/component": "track"}
    assert exchange["podSelector"]["matchLabels"] == track
    assert exchange["ingress"] == [{"from": [{"podSelector": {"matchLabels": track}}]}]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_selects_the_workload_of_its_name(name: str) -> None:
    labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    assert SERVICES[name]["spec"]["selector"].items() <= labels.items()
    ports = {each["name"] for each in container(WORKLOADS[name])["ports"]}
    assert {each["targetPort"] for each in SERVICES[name]["spec"]["ports"]} <= ports


def test_track_has_the_names_of_its_service() -> None:
    assert WORKLOADS["track"]["spec"]["serviceName"] in SERVICES


# ---------------------------------------------------------------- autoscaling
def triggers(kind: str = "kafka") -> list[tuple[Json, Json]]:
    pairs = [(scaled, t) for scaled in documents(KEDA) for t in scaled["spec"]["triggers"]]
    return [(scaled, t) for scaled, t in pairs if t["type"] == kind]


def test_writers_scale_on_the_lag_of_their_own_group() -> None:
    lag = {
        (scaled["spec"]["scaleTargetRef"]["name"], t["metadata"]["topic"]): t["metadata"]
        for scaled, t in triggers()
    }
    tiers = ("hot", "warm", "archive")
    wanted = {(f"write-{tier}", topic) for tier in tiers for topic in TOPICS_OF_A_WRITER}
    assert set(lag) == wanted
    for (target, _), metadata in lag.items():
        assert metadata["consumerGroup"] == writer_group(target.removeprefix("write-"))
        assert WORKLOADS[target]["kind"] == "Deployment"
        assert "replicas" not in WORKLOADS[target]["spec"], "applying would undo the autoscaler"


def test_serve_scales_on_its_cpu_from_two_pods_on() -> None:
    ((scaled, trigger),) = triggers("cpu")
    target = scaled["spec"]["scaleTargetRef"]["name"]
    assert (target, trigger["metricType"]) == ("serve", "Utilization")
    assert "cpu" in container(WORKLOADS[target])["resources"]["requests"]  # what it is a share of
    assert scaled["spec"]["minReplicaCount"] == 2
    assert "replicas" not in WORKLOADS[target]["spec"], "applying would undo the autoscaler"


TOPICS_OF_A_WRITER = (ORDERS_CHANGES, ORDERS_EVENTS)


def test_the_manifests_are_plain_data() -> None:
    for folder in FOLDERS:
        assert json.dumps(documents(folder))

"""`ordertide config`: every fault at once, every value with its origin, no secret shown."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from broker.properties import USUAL, fault_of
from commands.config import command
from commands.config_check import oidc_faults
from commands.config_show import effective_settings
from schemas.settings.model import KEYS, Settings, read_settings, read_sourced
from schemas.settings.page import settings_page, settings_schema
from tests.support.hooks import hooks
from tests.support.samples import rules_with_calendar
from tests.support.tiers.certificates import Authority


def written(folder: Path, text: str, name: str = "ordertide.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(command, arguments, env=environment)


def test_a_good_file_is_ok(tmp_path: Path) -> None:
    path = written(tmp_path, "[track]\nworkers = 2\n")
    result = run("check", str(path))
    assert (result.exit_code, result.output) == (0, f"{path}: ok\n")


def test_all_faults_of_keys_and_values_are_listed(tmp_path: Path) -> None:
    path = written(tmp_path, '[hot]\nkeep = "long"\nurls = "x"\n[track]\nclock = "wall"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert len(lines) == 3
    assert [line.removeprefix(f"{path}:")[:2] for line in lines] == ["2:", "3:", "5:"]


def test_hosts_without_a_bucket_are_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path, '[track]\nhosts = "a:7001,b:7001"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    assert result.output == (
        f'{path}:2: track.hosts needs the state in a bucket: set state.store = "s3"\n'
    )


def test_faults_in_the_files_that_the_settings_name_are_listed_with_them(tmp_path: Path) -> None:
    rules = written(tmp_path, "version = 1\n[[rule]]\nid = 'x'\nstatuses = ['NOWHERE']\n", "r.toml")
    folder = str(tmp_path / "same")
    text = f"""
[track]
rules = "{rules}"
folder = "{folder}"
[warm]
folder = "{rules}"
[archive]
folder = "{folder}"
[telemetry]
level = "loud"
"""
    result = run("check", str(written(tmp_path, text)))
    assert result.exit_code == 2
    for words in (
        f"{rules}:4: rule x: statuses: the lifecycle has no status NOWHERE",
        f"warm.folder: {rules} is a file",
        "track.folder and archive.folder are the same folder",
        "telemetry.level: 'loud' is none",
    ):
        assert words in result.output


def test_a_missing_lifecycle_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, '[track]\nlifecycle = "nowhere.toml"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    assert "track.lifecycle: nowhere.toml: " in result.output


def test_show_says_where_each_value_came_from(tmp_path: Path) -> None:
    path = written(tmp_path, '[hot]\nkeep = "24h"\n')
    environment = {"ORDERTIDE_HOT_PREFIX": "mine"}
    shown = run("show", "--settings", str(path), environment=environment).output
    origins = {
        line.partition("  #")[0].strip(): line.split("# ")[-1] for line in shown.splitlines()
    }
    assert origins['keep = "24h"'] == "file"
    assert origins['prefix = "mine"'] == "ORDERTIDE_HOT_PREFIX"
    assert origins["workers = 1"] == "default"


def test_show_masks_secrets_and_can_be_read_again(tmp_path: Path) -> None:
    environment = {
        "ORDERTIDE_HOT_URL": "redis://me:geheim@redis:6379/0",
        "ORDERTIDE_BROKER_PROPERTIES_SASL_PASSWORD": "geheim",
        "ORDERTIDE_BROKER_PROPERTIES_SASL_MECHANISM": "PLAIN",
        "ORDERTIDE_TRACK_WORKERS": "3",
    }
    shown = effective_settings(read_sourced(None, environment))
    assert "geheim" not in shown
    assert "redis://me:***@redis:6379/0" in shown
    assert "properties.sasl.password is set and secret" in shown
    again = read_settings(written(tmp_path, shown), {})
    assert again.track.workers == 3
    assert again.broker.properties == {"sasl.mechanism": "PLAIN"}


def test_what_show_prints_of_the_defaults_is_the_defaults(tmp_path: Path) -> None:
    shown = effective_settings(read_sourced(None, {}))
    assert read_settings(written(tmp_path, shown), {}) == Settings()


def test_the_schema_knows_every_key_that_may_stand_in_the_file() -> None:
    schema = settings_schema()
    sections = schema["$defs"]["Settings"]["properties"]
    assert set(sections) == set(KEYS)
    assert json.loads(run("schema").output) == json.loads(msgspec.json.encode(schema))
    hot = schema["$defs"]["HotSettings"]["properties"]
    assert hot["keep"]["pattern"]
    assert hot["keep"]["description"]
    assert "password" not in hot


@pytest.mark.parametrize("section", sorted(KEYS))
def test_the_page_lists_every_key_with_its_variable(section: str) -> None:
    page = settings_page()
    assert f"## [{section}]" in page
    assert all(f"`{key.variable}`" in page for key in KEYS[section].values())


def test_conditions_are_tried_on_generated_orders(tmp_path: Path) -> None:
    text = """
version = 1
[attributes]
parts = {type = "int"}
[[rule]]
id = "shares"
statuses = ["PAID"]
anchor = "condition"
when = "has(order.parts) && 100 / order.parts > 30"
severity = "warning"
"""
    rules = written(tmp_path, text, "r.toml")
    result = run("check", str(written(tmp_path, f'[track]\nrules = "{rules}"\n')))
    assert result.exit_code == 2
    assert f"{rules}:5: rule shares: when: it divides by zero; so it is false for an order" in (
        result.output
    )
    rules.write_text(text.replace("order.parts)", "order.parts) && order.parts > 0"))
    assert run("check", str(tmp_path / "ordertide.toml")).exit_code == 0


def test_a_calendar_that_has_ended_is_a_fault_unless_history_is_read(tmp_path: Path) -> None:
    rules = written(tmp_path, rules_with_calendar(2019, 2020), "r.toml")
    live = run("check", str(written(tmp_path, f'[track]\nrules = "{rules}"\n')))
    assert live.exit_code == 2
    assert f"{rules}:9: calendar.office: its years end with 2020" in live.output
    assert 'rule ship (line 2, after = "2wd")' in live.output
    history = f'[track]\nrules = "{rules}"\nclock = "recorded"\n'
    assert run("check", str(written(tmp_path, history))).exit_code == 0


SETTINGS = """
[trak]
x = 1
[track]
clock = "recoded"
workers = 99
lifecycle = "{folder}/life.toml"
rules = "{folder}/rules.toml"
[telemetry]
level = "loud"
port = "a"
"""
LIFECYCLE = """version = 1
name = "x"
zone = "Nowhere"
[[status]]
code = "NEW"
label = {en = "New", zh = "x"}
scope = "order"
creates = true
next = ["DON"]
[[status]]
code = "DONE"
label = {en = "Done", zh = "x"}
scope = "oder"
"""
RULES = """version = 1
[[rule]]
id = "late"
statuses = ["PAYD"]
anchor = "create"
after = "two days"
severity = "urgent"
[[rule]]
id = "odd"
statuses = [
  "PAID",
  "PAYD",
]
anchor = "created"
severity = "warning"
when = "order.a = 1"
[calendar.office]
years = [2020]
zone = "Nowhere"
"""


def test_every_fault_of_settings_lifecycle_and_rules_is_found_in_one_run(tmp_path: Path) -> None:
    written(tmp_path, LIFECYCLE, "life.toml")
    written(tmp_path, RULES, "rules.toml")
    path = written(tmp_path, SETTINGS.replace("{folder}", str(tmp_path)))
    found = run("check", str(path)).output.replace(f"{tmp_path}/", "").splitlines()
    beginnings = [
        "ordertide.toml:2: trak: unknown section; did you mean track?",
        "ordertide.toml:5: track.clock: 'recoded' is none; choose one of broker, recorded; did you",
        "ordertide.toml:6: track.workers: 99 is out of range; write one from 1 to 16",
        "ordertide.toml:10: telemetry.level: 'loud' is none; choose one of debug, info, warning",
        "ordertide.toml:11: telemetry.port: 'a' is no whole number; write one from 0 to 65535",
        "life.toml:3: zone: 'Nowhere' is no time zone; name one such as",
        "life.toml:9: status NEW: next: DON is not in the table; did you mean DONE?",
        "life.toml:13: status DONE: scope: 'oder' is none; choose one of both, order, shipment",
        "rules.toml:5: rule late: anchor: 'create' is none of created",
        "rules.toml:6: rule late: after: 'two days' is no duration",
        "rules.toml:7: rule late: severity: 'urgent' is none; choose one of overdue, warning",
        "rules.toml:16: rule odd: when: = is unexpected at character 9; write ==",
        "rules.toml:18: calendar.office.years: a list is no list of this length; write a list of 2",
        "rules.toml:19: calendar.office.zone: 'Nowhere' is no time zone",
    ]
    assert len(found) == len(beginnings), found
    assert all(line.startswith(b) for line, b in zip(found, beginnings, strict=True)), found


def test_statuses_of_rules_are_checked_with_the_line_of_each(tmp_path: Path) -> None:
    written(tmp_path, RULES, "rules.toml")
    path = written(tmp_path, f'[track]\nrules = "{tmp_path}/rules.toml"\n')
    found = run("check", str(path)).output
    assert "rules.toml:12: rule odd: statuses: the lifecycle has no status PAYD; did you" in found


GATEWAY = """[serve]
host = "0.0.0.0"
parts = "api,bored"
zone = "Mars/Base"
[serve.limits]
queries = "1 per 1 second"
query = "many"
[serve.commands]
customer = "COMPLETE"
[act]
private = "10.1.0.0/99"
[oidc]
issuer = "http://login.example.com/realms/shop"
client_id = "ordertide"
client_secret = "hunter2hunter2"
"""


def test_every_fault_of_the_gateway_is_found_in_one_run(tmp_path: Path) -> None:
    path = written(tmp_path, GATEWAY)
    accounts = {
        f"ORDERTIDE_SERVE_CARRIERS_{account}": "x" for account in ("PONY_1_TOKEN", "SF_1_TOKKEN")
    }
    result = run("check", str(path), environment=accounts)
    found = result.output.replace(f"{path}:", "").splitlines()
    for part in (
        "2: serve.host: 0.0.0.0 is reached by others",
        "3: serve.parts: bored is no part; write some of api, board, callbacks",
        "4: serve.zone: 'Mars/Base' is no time zone",
        "6: serve.limits.queries: no such class; write one of query",
        "7: serve.limits.query: 'many' is no rate; write it like",
        "9: serve.commands.customer: the lifecycle has no status COMPLETE; did you mean COMPLETED?",
        "11: act.private: '10.1.0.0/99' does not appear to be an IPv4 or IPv6 network; write host",
        "13: oidc.issuer: 'http://login.example.com/realms/shop' is not https",
        "15: oidc.client_secret: a secret may not stand in the file; set ORDERTIDE_OIDC_CLIENT_SEC",
        "carrier pony: no such plug-in",
        "carrier sf: tokken: unknown key; did you mean token?",
    ):
        assert any(part in line for line in found), (part, found)
    written(tmp_path, '[serve]\nhost = "0.0.0.0"\nbehind_proxy = "10.0.0.0/8, next"\n')
    assert "serve.behind_proxy: 'next' does not" in run("check", str(path)).output


ISSUER = {"oidc_issuer": "https://login.example.com", "oidc_client_id": "board"}


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"oidc_client_id": "board"}, "oidc.issuer is missing; set it, or empty [oidc]"),
        ({"oidc_issuer": "https://login.example.com"}, "oidc.client_id is missing; register"),
        ({**ISSUER, "oidc_issuer": "http://login.test"}, "oidc.issuer: 'http://login.test' is no"),
        ({**ISSUER, "serve_host": "board.test"}, "serve.public_url is missing"),
        ({**ISSUER, "oidc_scope": "profile"}, "oidc.scope: 'profile' lacks openid"),
        ({**ISSUER, "oidc_tenant": ""}, "oidc.tenant: it is empty"),
        ({**ISSUER, "oidc_ca": "none.pem"}, "oidc.ca: none.pem"),
        ({**ISSUER, "oidc_claims_rule": "x"}, "oidc.claims.rule: no claim is read for that"),
        ({**ISSUER, "oidc_roles_boss": "bos"}, "oidc.roles.boss: 'bos' is no role"),
        ({**ISSUER, "oidc_roles_boss": "admin"}, None),
    ],
)
def test_a_fault_of_an_issuer_is_named(values: dict[str, str], fault: str | None) -> None:
    variables = {f"ORDERTIDE_{name.upper()}": value for name, value in values.items()}
    found = [*oidc_faults(read_settings(None, variables))]
    assert [line for line in found if line.startswith(fault or "-")] == found
    assert bool(found) == bool(fault)


PROPERTIES = """[broker.properties]
"sasl.mechanisme" = "PLAIN"
"linger.ms" = "-5"
"enable.auto.commit" = "maybe"
"isolation.level" = "read_all"
"bootstrap.servers" = "kafka:9092"
"sasl.mechanism" = "SCRAM-SHA-512"
"security.protocol" = "SASL_SSL"
"error_cb" = "report"
"no.such.thing.at.all" = "1"
"fetch.min.bytes" = "1000"
"""


def test_properties_that_librdkafka_does_not_take_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, PROPERTIES)
    result = run("check", str(path))
    assert result.exit_code == 2
    found = result.output.replace(f"{path}:", "").replace("broker.properties.", "").splitlines()
    about = "CONFIGURATION.md of librdkafka lists what it takes"
    assert found == [
        "2: sasl.mechanisme: librdkafka has no such property; did you mean sasl.mechanism?",
        "3: linger.ms: '-5' is out of range; write a number from 0 to 900000",
        "4: enable.auto.commit: 'maybe' is none; write true or false",
        f"5: isolation.level: 'read_all' is no value of it; {about}",
        "6: bootstrap.servers: brokers are named by broker.bootstrap; write them there",
        "9: error_cb: a settings file can't hold it; leave it out",
        f"10: no.such.thing.at.all: librdkafka has no such property; {about}",
    ]


def test_every_usual_property_is_one_of_librdkafka() -> None:
    for name in USUAL:
        fault = fault_of(name, "none of its values") or ""
        assert "librdkafka has no such property" not in fault, name


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("board/{order_id}", "is no URL; write it like https://orders.example.com/orders/"),
        ("ftp://board/{order_id}", "is no URL; write it like"),
        ("http://[board/{order_id}", "is no URL; write it like"),
        ("https://board/{order}", "{order} is no place; a link may name {tenant} and {order_id}"),
        ("https://board/{order_id", "{order_id is no place"),
    ],
)
def test_a_link_that_leads_nowhere_is_a_fault(tmp_path: Path, link: str, words: str) -> None:
    path = written(tmp_path, f'[delivery]\nlink = "{link}"\n')
    assert f"{path}:2: delivery.link: " in (found := run("check", str(path)).output)
    assert words in found
    written(tmp_path, '[delivery]\nlink = "https://board.example/{tenant}?order={order_id}"\n')
    assert run("check", str(path)).exit_code == 0


def test_files_of_the_gateway_s_certificate_are_read_and_compared(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.sign("one"), authority.sign("other")
    path = tmp_path / "ordertide.toml"

    def found(certificate: str, key: str) -> list[str]:
        written(tmp_path, f'[serve]\ntls_certificate = "{certificate}"\ntls_key = "{key}"\n')
        return run("check", str(path)).output.replace(f"{path}:", "").splitlines()

    assert found(one.certificate, one.key) == [" ok"]
    (mismatch,) = found(one.certificate, other.key)
    assert mismatch.startswith(f"3: serve.tls_key: {other.key} isn't the key of {one.certificate}")
    missing = found("none.crt", "none.key")
    assert [line.split(": No such file")[0] for line in missing] == [
        "2: serve.tls_certificate: none.crt",
        "3: serve.tls_key: none.key",
    ]
    swapped = found(one.key, one.certificate)
    assert f"2: serve.tls_certificate: {one.key} holds no certificate in PEM" in swapped[0]
    assert f"3: serve.tls_key: {one.certificate} holds no private key in PEM" in swapped[1]
    locked = tmp_path / "locked.key"
    locked.write_bytes(with_passphrase(Path(one.key).read_bytes()))
    assert (
        f"{locked} needs a passphrase; write it without one"
        in found(one.certificate, str(locked))[0]
    )
    chain = tmp_path / "chain.crt"
    chain.write_bytes(Path(authority.ca).read_bytes() + Path(one.certificate).read_bytes())
    assert "put the server's own certificate first" in found(str(chain), one.key)[0]
    old = authority.sign("old", valid_until=datetime.now(UTC) - timedelta(hours=1))
    (expired,) = found(old.certificate, old.key)
    assert expired.startswith(f"2: serve.tls_certificate: {old.certificate} expired on ")


def with_passphrase(pem: bytes) -> bytes:
    key = load_pem_private_key(pem, None)
    form = BestAvailableEncryption(b"made up")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form)


def test_addresses_and_files_of_the_tiers_servers_are_checked(tmp_path: Path) -> None:
    path = written(tmp_path, '[hot]\nurl = "http://r:1"\n[warm]\nurl = "ftp://e:1"\n')
    found = run("check", str(path)).output.replace(f"{path}:", "").splitlines()
    assert found[0].startswith("2: hot.url is no URL of Redis's: write redis://")
    assert found[1].startswith("4: warm.url is no URL of Elasticsearch's: write http://")
    written(tmp_path, '[warm]\nurl = "https://e:1"\nca = "none.pem"\n')
    assert ":3: warm.ca: none.pem is no file; name a PEM file" in run("check", str(path)).output


# ---------------------------------------------------------------- actions
BAD_ACTIONS = """version = 1
[receivers.desk]
channel = "logg"
[kinds.confirm_order]
receiver = "dessk"
[kinds.sing]
receivers = "desk"
"""


def test_every_fault_of_the_actions_is_listed_with_its_line(tmp_path: Path) -> None:
    actions = written(tmp_path, BAD_ACTIONS, "actions.toml")
    path = written(tmp_path, f'[act]\nactions = "{actions}"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    assert [line.removeprefix(f"{actions}:")[:2] for line in result.output.splitlines()] == [
        "6:",
        "7:",
    ], result.output
    mended = BAD_ACTIONS.replace("receivers =", "receiver =")
    written(tmp_path, mended, "actions.toml")
    result = run("check", str(path))
    first, second = result.output.splitlines()
    assert first.startswith(
        f"{actions}:3: receivers.desk.channel: action channel logg: no such plug-in"
    )
    assert second.startswith(
        f"{actions}:5: kinds.confirm_order.receiver: 'dessk' is no receiver; write 'desk'"
    )


def test_a_kind_that_the_rules_request_needs_a_receiver(tmp_path: Path) -> None:
    text = "version = 1\n[receivers.desk]\nchannel = 'log'\n[kinds.confirm_order]\n"
    actions = written(tmp_path, f"{text}receiver = 'desk'\n", "actions.toml")
    path = written(tmp_path, f'[act]\nactions = "{actions}"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    assert (
        f"{path}:2: act.actions: {actions}: the rules request contact_carrier, which has no "
        "receiver here; add [kinds.contact_carrier] with its receiver\n"
    ) in result.output


MESSAGES = """version = 1
[receivers.customers]
channel = "mail"
options = {host = "127.0.0.1", from = "a@b.c", to = "customer", unsubscribe = "mailto:stop@b.c"}
[kinds.shipped]
receiver = "customers"
template = "shipped"
[kinds.told]
receiver = "customers"
[kinds.own]
receiver = "customers"
template = "own"
"""


def test_faults_of_messages_have_file_and_line(tmp_path: Path) -> None:
    actions = written(tmp_path, MESSAGES, "actions.toml")
    path = written(tmp_path, f'[act]\nactions = "{actions}"\n')
    lines = run("check", str(path)).output.splitlines()
    assert f"{actions}:8: kinds.told.template is missing; customers writes to customers" in lines
    assert any(
        line.startswith(f"{actions}:10: kinds.own.template: 'own' is no template; known: confirm")
        for line in lines
    ), lines
    written(tmp_path, f'templates = "."\n{MESSAGES}', "actions.toml")
    written(tmp_path, "Subject: x\n\n{{ nowhere }}\n", "own.en.txt")
    lines = run("check", str(path)).output.splitlines()
    assert any(line.startswith(f"{tmp_path / 'own.en.txt'}:3: nowhere: no such") for line in lines)
    written(tmp_path, "Subject: x\n\n{{ link }}\n", "own.en.txt")
    lines = run("check", str(path)).output.splitlines()
    fault = "serve.public_url is missing; messages to customers link to their page there"
    assert f"{path}: {fault}" in lines


def test_a_table_of_actions_that_is_missing_is_named_with_its_setting(tmp_path: Path) -> None:
    path = written(tmp_path, '[act]\nactions = "nowhere.toml"\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    assert result.output.startswith(f"{path}:2: act.actions: nowhere.toml: ")


WEBHOOK = """version = 1
[receivers.desk]
channel = "webhook"
options = {url = "https://10.0.0.7/hook"}
[receivers.other]
channel = "mail"
options = {host = "localhost", from = "a@b.c", too = "d@e.f"}
"""


def test_receivers_without_a_secret_or_with_a_private_address_are_named_with_their_line(
    tmp_path: Path,
) -> None:
    actions = written(tmp_path, f"{WEBHOOK}[kinds]\n", "actions.toml")
    path = written(tmp_path, f'[act]\nactions = "{actions}"\n')
    lines = run("check", str(path)).output.splitlines()
    assert lines[0] == (
        f"{actions}:2: receivers.desk: secret is missing; set ORDERTIDE_ACT_SECRET_DESK to whsec_ "
        "and 32 bytes in base64"
    )
    assert lines[1].startswith(f"{actions}:5: receivers.other: too: unknown option; ")
    written(tmp_path, f"{WEBHOOK.partition('[receivers.other]')[0]}[kinds]\n", "actions.toml")
    secret = {"ORDERTIDE_ACT_SECRET_DESK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    (line, *_) = run("check", str(path), environment=secret).output.splitlines()
    assert line.startswith(f"{actions}:2: receivers.desk: 10.0.0.7: resolves to 10.0.0.7, which is")
    allowed = {**secret, "ORDERTIDE_ACT_PRIVATE": "10.0.0.0/24"}
    assert "receivers.desk" not in run("check", str(path), environment=allowed).output


CHATS = """version = 1
[receivers.team]
channel = "chat"
[receivers.desk]
channel = "carrier"
options = {{contact = "{contact}", url = "https://10.0.0.7/tickets"}}
[receivers.near]
channel = "chat"
[kinds]
"""


def test_chats_and_carriers_are_checked_without_a_request(tmp_path: Path) -> None:
    actions = written(tmp_path, CHATS.format(contact="acme"), "actions.toml")
    path = written(tmp_path, f'[act]\nactions = "{actions}"\n')
    token = "k3nTcdbc45qd1r7b58ut63fJdr"
    secrets = {"ORDERTIDE_ACT_SECRET_NEAR": f"mqtt://user:{token}@example.com/topic"}
    result = run("check", str(path), environment=secrets)
    lines = [line.removeprefix(f"{actions}:") for line in result.output.splitlines()]
    assert lines[0].startswith(
        "2: receivers.team: secret is missing; set ORDERTIDE_ACT_SECRET_TEAM"
    )
    assert lines[1].startswith("4: receivers.desk: contact acme: no such plug-in; installed: rest")
    assert lines[2].startswith("7: receivers.near: ORDERTIDE_ACT_SECRET_NEAR: ")
    assert token not in result.output
    written(tmp_path, CHATS.format(contact="rest"), "actions.toml")
    with hooks(is_signed=False) as receiver:
        secrets = {
            "ORDERTIDE_ACT_SECRET_TEAM": f"jsons://10.0.0.8/{token}",
            "ORDERTIDE_ACT_SECRET_DESK": token,
            "ORDERTIDE_ACT_SECRET_NEAR": f"json://127.0.0.1:{receiver.port}/{token}",
        }
        result = run("check", str(path), environment=secrets)
        assert not receiver.calls
    first, second = result.output.splitlines()[:2]
    assert first.startswith(f"{actions}:2: receivers.team: 10.0.0.8: resolves to 10.0.0.8, which")
    assert second.startswith(f"{actions}:4: receivers.desk: 10.0.0.7: resolves to 10.0.0.7, which")
    assert "receivers.near" not in result.output
    assert token not in result.output


def test_a_secret_of_a_receiver_may_not_stand_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[act]\nsecret = {desk = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZ"}\n')
    result = run("check", str(path))
    assert result.exit_code == 2
    assert "set ORDERTIDE_ACT_SECRET_DESK, or ORDERTIDE_ACT_SECRET_DESK_FILE" in result.output
    assert "MfKQ9r8" not in result.output

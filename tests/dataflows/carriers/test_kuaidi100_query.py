"""Kuaidi100's query: what is asked, and the same scans as in a push."""

import json
from hashlib import md5
from typing import Any
from urllib.parse import parse_qs

import pytest

from dataflows.carriers.installed import load_poller, open_carrier, open_poller
from dataflows.carriers.kuaidi100_query import NAMES
from dataflows.carriers.pollable import Asked, HttpRequest, Poller
from dataflows.carriers.wording import canonical_carrier
from schemas.errors import Busy, Rejected, SettingsError
from schemas.plugins import POLLERS
from tests.support.carrier_samples import PAYLOADS

PUSH = PAYLOADS / "kuaidi100" / "push_yunda_2017_words_only.json"
YUNDA = Asked("3805420000000", "yunda")


def poller(**options: str) -> Poller:
    settings = {"secret": "the key", "customer": "a customer"} | options
    found, _ = open_poller("kuaidi100", settings)
    assert isinstance(found, Poller)
    return found


def form(request: HttpRequest) -> dict[str, str]:
    assert request.body is not None
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def answer(**fields: object) -> bytes:
    history = json.loads(PUSH.read_text("utf-8"))["lastResult"]
    return json.dumps({"message": "ok", "status": "200", **history, **fields}).encode()


def test_the_built_in_pollers_are_installed() -> None:
    names = [*POLLERS.installed()]
    assert names == ["karrio", "kuaidi100", "rest"]
    assert [load_poller(POLLERS.named(name)).name for name in names] == names


def test_a_query_is_signed_as_documented() -> None:
    request = poller().request([YUNDA], 0)
    assert (request.method, request.path) == ("POST", "/poll/query.do")
    sent = form(request)
    assert json.loads(sent["param"]) == {"com": "yunda", "num": YUNDA.number, "resultv2": "4"}
    signed = md5(f"{sent['param']}the keya customer".encode()).hexdigest()  # noqa: S324 - as it signs
    assert (sent["customer"], sent["sign"]) == ("a customer", signed.upper())


def test_an_answer_gives_the_events_of_a_push() -> None:
    pushed = open_carrier("kuaidi100", {"salt": "s"}).events(PUSH.read_bytes())
    found = poller().read([YUNDA], answer())
    assert found.contents.events == pushed
    assert found.unknown == frozenset()


def test_sf_and_zto_are_asked_for_with_a_phone_number_only() -> None:
    assert not {"sf", "zto"} & poller().codes
    with_phone = poller(phone="13800000000")
    assert with_phone.codes == NAMES.keys()
    assert (
        json.loads(form(with_phone.request([Asked("SF1", "sf")], 0))["param"])["phone"]
        == "13800000000"
    )
    assert "phone" not in json.loads(form(with_phone.request([YUNDA], 0))["param"])


def test_its_names_of_carriers_are_ours() -> None:
    assert {canonical_carrier(name): code for code, name in NAMES.items()} == {c: c for c in NAMES}


@pytest.mark.parametrize("code", ["400", "408", "500"])
def test_a_number_without_a_result_is_unknown(code: str) -> None:
    failed = {"result": False, "returnCode": code, "message": "查询无结果，请隔段时间再查"}
    found = poller().read([YUNDA], json.dumps(failed).encode())
    assert found.contents.events == []
    assert found.unknown == {YUNDA.number}


@pytest.mark.parametrize("code", ["403", "503", "601"])
def test_an_account_that_may_not_ask_is_refused(code: str) -> None:
    failed = {"result": False, "returnCode": code, "message": "no"}
    with pytest.raises(Rejected, match=rf"^refused: returnCode {code}: no; correct"):
        poller().read([YUNDA], json.dumps(failed).encode())


@pytest.mark.parametrize("fields", [{"returnCode": "501"}, {"returnCode": 502}, {}])
def test_any_other_failure_is_the_aggregators(fields: dict[str, Any]) -> None:
    with pytest.raises(Busy, match=r"^returnCode"):
        poller().read([YUNDA], json.dumps({"result": False, **fields}).encode())


@pytest.mark.parametrize("body", [b"<html>", b"", answer()[:200], b"[]", b'"x"', b'{"data": 7}'])
def test_what_is_no_answer_is_rejected(body: bytes) -> None:
    with pytest.raises(Rejected) as rejected:
        poller().read([YUNDA], body)
    assert rejected.value.code != "refused"


def test_a_missing_option_is_named() -> None:
    with pytest.raises(SettingsError, match="poller kuaidi100: customer is missing"):
        open_poller("kuaidi100", {"secret": "the key"})

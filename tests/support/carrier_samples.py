"""For each carrier: settings, real pushes, and how it signs them."""

import base64
import json
from collections.abc import Callable, Sequence
from hashlib import md5
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

PAYLOADS = Path(__file__).parent.parent / "data" / "payloads"

Request = tuple[dict[str, str], bytes]  # headers with names in lower case, body


class Sample(NamedTuple):
    """Parameters of a carrier for the contract suite.

    `sign(payload, secret)` makes a request as the carrier sends it, `unsigned(payload)` one without
    a signature; `nodes_at` is the path to the list of scans in a payload.
    """

    settings: dict[str, Any]
    secret: str
    pushes: list[Path]
    nodes_at: tuple[str | int, ...]
    sign: Callable[[str, str], Request]
    unsigned: Callable[[str], Request]
    taken: bytes
    names_orders: bool = False

    def payloads(self) -> list[str]:
        return [push.read_text("utf-8") for push in self.pushes]

    def with_nodes(self, payload: str, nodes: list[Any]) -> str:
        """The payload with other scans."""
        *outer, inner = self.nodes_at
        data = json.loads(payload)
        self.within(data, outer)[inner] = nodes
        return json.dumps(data, ensure_ascii=False)

    def nodes(self, payload: str) -> list[Any]:
        found: list[Any] = self.within(json.loads(payload), self.nodes_at)
        return found

    @staticmethod
    def within(data: Any, path: Sequence[str | int]) -> Any:  # noqa: ANN401 - any JSON
        for name in path:
            data = data[name]
        return data

    def body(self, payload: str) -> bytes:
        return self.sign(payload, self.secret)[1]


def kuaidi100_push(param: str, salt: str) -> Request:
    sign = md5((param + salt).encode()).hexdigest().upper()  # noqa: S324 - as Kuaidi100 signs
    return {}, urlencode({"param": param, "sign": sign}).encode()


def jt_push(content: str, secret: str) -> Request:
    digest = md5((content + secret).encode()).digest()  # noqa: S324 - as J&T signs
    headers = {"apiaccount": "1", "digest": base64.b64encode(digest).decode(), "timestamp": "0"}
    return headers, urlencode({"bizContent": content}).encode()


def sf_push(payload: str, token: str) -> Request:
    return {"x-callback-token": token}, payload.encode()


SAMPLES = {
    "rest": Sample(
        settings={"token": "a-long-random-token", "zone": "+08:00"},
        secret="a-long-random-token",
        pushes=sorted(PAYLOADS.glob("rest/*.json")),
        nodes_at=("events",),
        sign=sf_push,
        unsigned=lambda payload: ({}, payload.encode()),
        taken=b'{"accepted":true,"message":"taken"}',
        names_orders=True,
    ),
    "jt": Sample(
        settings={"secret": "a private key"},
        secret="a private key",
        pushes=sorted(PAYLOADS.glob("jt/callback_*.json")),
        nodes_at=(0, "details"),
        sign=jt_push,
        unsigned=lambda content: ({}, urlencode({"bizContent": content}).encode()),
        taken=b'{"code":"1","msg":"success","data":"SUCCESS"}',
    ),
    "kuaidi100": Sample(
        settings={"salt": "a salt"},
        secret="a salt",
        pushes=sorted(PAYLOADS.glob("kuaidi100/*.json")),
        nodes_at=("lastResult", "data"),
        sign=kuaidi100_push,
        unsigned=lambda param: ({}, urlencode({"param": param}).encode()),
        taken='{"result":true,"returnCode":"200","message":"成功"}'.encode(),
    ),
    "sf": Sample(
        settings={"token": "a-long-random-token"},
        secret="a-long-random-token",
        pushes=sorted(PAYLOADS.glob("sf/*.json")),
        nodes_at=("Body", "WaybillRoute"),
        sign=sf_push,
        unsigned=lambda payload: ({}, payload.encode()),
        taken='{"return_code":"0000","return_msg":"成功"}'.encode(),
    ),
}

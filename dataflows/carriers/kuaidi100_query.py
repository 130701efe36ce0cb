"""Kuaidi100 (快递100), queried: the whole history of one parcel a request.

A query is a form with `customer`, `param` (JSON) and `sign`, the upper-case hex MD5 of param + key
+ customer. The answer is the `lastResult` of a push, so its scans have the ids that they have in a
push. Failures come with status 200, `result` false and a `returnCode`.
Source: api.kuaidi100.com, 实时快递查询接口. It asks for half an hour between two queries for one
number, else the number is locked; SF and ZTO need the phone number of sender or receiver.
"""

from collections.abc import Sequence
from hashlib import md5
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from dataflows.carriers.carrier import PushContents
from dataflows.carriers.kuaidi100 import Kuaidi100, Kuaidi100Config
from dataflows.carriers.pollable import Answer, Asked, HttpRequest, PollConfig, Poller
from dataflows.carriers.reading import decode
from dataflows.carriers.wording import text_of
from schemas.errors import Busy, Rejected

# Kuaidi100's names of the carriers.
NAMES = {
    "ems": "ems",
    "jd": "jd",
    "jt": "jtexpress",
    "sf": "shunfeng",
    "sto": "shentong",
    "yto": "yuantong",
    "yunda": "yunda",
    "zto": "zhongtong",
}
WITH_PHONE = frozenset({"sf", "zto"})

UNKNOWN = frozenset({"400", "408", "500"})  # no such number, carrier or phone; or no result yet
REFUSED = frozenset({"403", "503", "601"})  # address, signature or key
BUSY_S = 60.0


class Kuaidi100PollConfig(PollConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`secret` is the key of the account, `customer` its number.

    `phone` is the sender's, without which parcels of SF and ZTO aren't asked for.
    """

    secret: Annotated[str, Meta(min_length=1)]
    customer: Annotated[str, Meta(min_length=1)]
    phone: str = ""
    url: str = "https://poll.kuaidi100.com"
    zone: str = "+08:00"
    phrases: dict[str, str] = msgspec.field(default_factory=dict)


class Failure(msgspec.Struct, frozen=True):
    """Fields of an answer beside its history."""

    result: Any = None
    returnCode: Any = None  # noqa: N815 - the aggregator's name
    message: Any = None


FAILURE = msgspec.json.Decoder(Failure)


class Kuaidi100Poller(Poller):
    """The query of Kuaidi100; `contents` reads a push of the aggregator."""

    name = "kuaidi100"
    Config = Kuaidi100PollConfig
    least_interval_s = 1_800.0

    def __init__(self, config: Kuaidi100PollConfig) -> None:
        self.secret, self.customer, self.phone = config.secret, config.customer, config.phone
        self.codes = frozenset(NAMES) if config.phone else frozenset(NAMES) - WITH_PHONE
        pushed = Kuaidi100Config(
            salt=config.secret, zone=config.zone, statuses=config.statuses, phrases=config.phrases
        )
        self.contents = Kuaidi100(pushed).contents

    def request(self, asked: Sequence[Asked], now_ms: int) -> HttpRequest:
        (parcel,) = asked
        query = {"com": NAMES[parcel.carrier], "num": parcel.number, "resultv2": "4"}
        if parcel.carrier in WITH_PHONE:
            query["phone"] = self.phone
        param = msgspec.json.encode(query).decode()
        form = {"customer": self.customer, "sign": self.signature(param), "param": param}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return HttpRequest("POST", "/poll/query.do", headers, urlencode(form).encode())

    def read(self, asked: Sequence[Asked], body: bytes) -> Answer:
        failure = decode(FAILURE, body)
        code = text_of(failure.returnCode)
        if failure.result is False or code not in {"", "200"}:
            return self.failed(asked, code, text_of(failure.message))
        push = b'{"status":"polling","lastResult":%b}' % body
        return Answer(self.contents(push))

    def failed(self, asked: Sequence[Asked], code: str, message: str) -> Answer:
        """The answer of a failure that is about the number.

        Raises:
            Busy, Rejected: it is about the aggregator or the account.
        """
        if code in UNKNOWN:
            return Answer(PushContents([]), frozenset(each.number for each in asked))
        reason = f"returnCode {code or 'missing'}: {message or 'no message'}"
        if code in REFUSED:
            raise Rejected("refused", f"{reason}; correct customer and secret of the account")
        raise Busy(reason, BUSY_S)

    def signature(self, param: str) -> str:
        """Upper-case hex MD5 of param + key + customer."""
        signed = f"{param}{self.secret}{self.customer}".encode()
        return md5(signed).hexdigest().upper()  # noqa: S324 - the aggregator's choice

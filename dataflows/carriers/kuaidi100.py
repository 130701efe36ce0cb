"""Kuaidi100 (快递100), an aggregator of Chinese carriers: the whole history in every push.

A push is a form with `param` (JSON) and `sign`, the upper-case hex MD5 of param + salt. Nodes come
newest first, their times have no zone. With the aggregator's paid "advanced states" each node has a
`statusCode`; without, only Chinese text, from which the phrases below are recognised.
"""

import hmac
from collections.abc import Mapping
from hashlib import md5
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dataflows.carriers.carrier import Acknowledgement, Carrier, CarrierConfig
from dataflows.carriers.datum import to_wgs84
from dataflows.carriers.reading import checked, decode, form_field, parse_zone, rfc3339, scan_id
from schemas.errors import Busy, Rejected

# The aggregator's states. A three- or four-digit one refines the state of its first digit.
STATUSES = {
    "0": "IN_TRANSIT",  # 在途
    "1001": "IN_TRANSIT",  # 到达派件城市
    "1002": "IN_TRANSIT",  # 干线
    "1003": "IN_TRANSIT",  # 转递
    "1": "COLLECTED",  # 揽收
    "101": "LABEL_CREATED",  # 已下单
    "102": "LABEL_CREATED",  # 待揽收
    "103": "COLLECTED",  # 已揽收
    "2": "SCAN",  # 疑难: something is wrong, but not what
    "201": "SCAN",  # 超时未签收
    "202": "SCAN",  # 超时未更新
    "203": "DELIVERY_FAILED",  # 拒收
    "204": "DELIVERY_FAILED",  # 派件异常
    "205": "READY_FOR_PICKUP",  # 柜或驿站超时未取
    "206": "DELIVERY_FAILED",  # 无法联系
    "207": "DELIVERY_FAILED",  # 超区
    "208": "SCAN",  # 滞留
    "209": "DAMAGED",  # 破损
    "210": "SCAN",  # 销单
    "3": "DELIVERED",  # 签收
    "301": "DELIVERED",  # 本人签收
    "302": "DELIVERED",  # 派件异常后签收
    "303": "DELIVERED",  # 代签
    "304": "READY_FOR_PICKUP",  # 投柜或站签收: the locker or the shop took it, not the receiver
    "4": "RETURNED",  # 退签: the sender has it back and signed for it
    "401": "SCAN",  # 已销单
    "5": "OUT_FOR_DELIVERY",  # 派件
    "501": "READY_FOR_PICKUP",  # 投柜或驿站
    "6": "RETURN_TO_SENDER",  # 退回
    "7": "IN_TRANSIT",  # 转投
    "8": "CUSTOMS_HOLD",  # 清关
    "10": "CUSTOMS_HOLD",  # 待清关
    "11": "CUSTOMS_HOLD",  # 清关中
    "12": "CUSTOMS_CLEARED",  # 已清关
    "13": "CUSTOMS_HOLD",  # 清关异常
    "14": "DELIVERY_FAILED",  # 拒签: refused by the receiver; the return has states of its own
}

# For nodes without a code; the first phrase that occurs decides. What says that something did not
# happen comes before what says that it did. 收件 alone would also be found in 收件人, the receiver.
PHRASES = (
    ("已退回", "RETURN_TO_SENDER"),
    ("正在退回", "RETURN_TO_SENDER"),
    ("退件", "RETURN_TO_SENDER"),
    ("拒收", "DELIVERY_FAILED"),
    ("拒签", "DELIVERY_FAILED"),
    ("派送失败", "DELIVERY_FAILED"),
    ("派件异常", "DELIVERY_FAILED"),
    ("驿站代收", "READY_FOR_PICKUP"),
    ("柜代收", "READY_FOR_PICKUP"),
    ("取件码", "READY_FOR_PICKUP"),
    ("待取件", "READY_FOR_PICKUP"),
    ("已签收", "DELIVERED"),
    ("签收人", "DELIVERED"),
    ("已妥投", "DELIVERED"),
    ("正在派件", "OUT_FOR_DELIVERY"),
    ("派件员", "OUT_FOR_DELIVERY"),
    ("派件中", "OUT_FOR_DELIVERY"),
    ("派送中", "OUT_FOR_DELIVERY"),
    ("已收件", "COLLECTED"),
    ("收件员", "COLLECTED"),
    ("已揽收", "COLLECTED"),
    ("已揽件", "COLLECTED"),
    ("发往", "IN_TRANSIT"),
    ("已到达", "IN_TRANSIT"),
)


class Kuaidi100Config(CarrierConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`salt` as given with the subscription; `phrases` are tried before the built-in ones."""

    salt: Annotated[str, Meta(min_length=1)]
    zone: str = "+08:00"
    phrases: dict[str, str] = msgspec.field(default_factory=dict)


class Node(msgspec.Struct, frozen=True):
    """A scan. `areaCenter` is `lon,lat` of the district's centre in GCJ-02."""

    time: str
    context: str
    ftime: str | None = None
    statusCode: str | int | None = None  # noqa: N815 - the aggregator's name
    areaName: str | None = None  # noqa: N815 - the aggregator's name
    areaCenter: str | None = None  # noqa: N815 - the aggregator's name


class Parcel(msgspec.Struct, frozen=True):
    """A parcel's history; `com` is the carrier's code, e.g. `shentong`."""

    nu: str
    com: str
    data: list[Node] | None = None


class Push(msgspec.Struct, frozen=True):
    """What `param` holds; `destResult` is the history in the country of arrival."""

    lastResult: Parcel | None = None  # noqa: N815 - the aggregator's name
    destResult: Parcel | None = None  # noqa: N815 - the aggregator's name


PUSH = msgspec.json.Decoder(Push)


class Kuaidi100(Carrier):
    """The plug-in for Kuaidi100."""

    name = "kuaidi100"
    Config = Kuaidi100Config

    def __init__(self, config: Kuaidi100Config) -> None:
        self.salt = config.salt
        self.zone = parse_zone(config.zone, of="carriers.kuaidi100.zone")
        self.statuses = {**STATUSES, **config.statuses}
        self.phrases = (*config.phrases.items(), *PHRASES)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        try:
            param, sign = form_field(body, "param"), form_field(body, "sign")
        except Rejected as error:
            raise Rejected("bad_signature", f"there is no signed form: {error.reason}") from error
        if param is None or sign is None:
            raise Rejected("bad_signature", "the form needs the fields param and sign")
        expected = signature(param, self.salt)
        if not hmac.compare_digest(expected.encode(), sign.encode()):
            raise Rejected("bad_signature", "sign is not the MD5 of param and the configured salt")

    def events(self, body: bytes) -> list[dict[str, Any]]:
        param = form_field(body, "param")
        if param is None:
            raise Rejected("invalid_event", "the form has no field param")
        push = decode(PUSH, param.encode())
        parcels = [parcel for parcel in (push.lastResult, push.destResult) if parcel]
        return [self.event(parcel, node) for parcel in parcels for node in parcel.data or []]

    def event(self, parcel: Parcel, node: Node) -> dict[str, Any]:
        """The event of a scan. Its text can name people, so it is personal."""
        raw = None if node.statusCode is None else str(node.statusCode)
        time = node.ftime or node.time
        return checked(
            {
                "event_id": scan_id(parcel.com, parcel.nu, time, node.context),
                "status_code": self.status_of(raw, node.context),
                "raw_status": raw,
                "timestamp": rfc3339(time, self.zone),
                "source": f"carrier:{parcel.com}",
                "carrier": parcel.com,
                "waybill": parcel.nu,
                "location": location_of(node),
                "personal": {"text": node.context},
            }
        )

    def status_of(self, raw: str | None, text: str) -> str:
        """The lifecycle's status for a code, or for a text where there is no code."""
        if raw:
            return self.statuses.get(raw, "SCAN")
        return next((status for phrase, status in self.phrases if phrase in text), "SCAN")

    def acknowledge(self, error: Rejected | Busy | None) -> Acknowledgement:
        headers = {"content-type": "application/json; charset=utf-8"}
        if error is None:
            answer = {"result": True, "returnCode": "200", "message": "成功"}
            return Acknowledgement(200, headers, msgspec.json.encode(answer))
        # About 40 retries follow any returnCode but 200.
        status = 503 if isinstance(error, Busy) else 400
        answer = {"result": False, "returnCode": str(status), "message": error.reason}
        return Acknowledgement(status, headers, msgspec.json.encode(answer))


def signature(param: str, salt: str) -> str:
    """Upper-case hex MD5 of param + salt."""
    return md5((param + salt).encode()).hexdigest().upper()  # noqa: S324 - the aggregator's choice


def location_of(node: Node) -> dict[str, Any] | None:
    """The district of a scan, converted to WGS 84; None if the node names none.

    Raises:
        Rejected: `invalid_event`: areaCenter isn't `lon,lat`.
    """
    if not node.areaCenter:
        return {"name": node.areaName} if node.areaName else None
    try:
        lon, lat = (float(part) for part in node.areaCenter.split(","))
        lat, lon = to_wgs84(lat, lon)
    except ValueError as error:
        reason = f"areaCenter: {node.areaCenter[:40]!r} is not lon,lat"
        raise Rejected("invalid_event", reason) from error
    place = {"name": node.areaName, "lat": round(lat, 6), "lon": round(lon, 6), "datum": "GCJ02"}
    return {field: value for field, value in place.items() if value is not None}

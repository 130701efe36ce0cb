"""Callbacks: the pushes of carriers, taken once they are in the broker's log.

The carrier's plug-in proves that a push is the carrier's, reads it, and words the answer: taken,
retry, or never. Nothing is acknowledged earlier than it is written, so a push that gets no answer
or a 503 comes again, and nothing is lost.
"""

import logging
from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from dataflows.carriers.carrier import CALLBACK_TOKEN, Acknowledgement, Carrier, PushContents
from dataflows.carriers.installed import open_carrier, options_of
from gateway.problems import Problem, whole_seconds
from gateway.route import Call
from schemas.errors import Busy, Rejected
from schemas.event import Event, decode_event

LOGGER = logging.getLogger("ordertide.gateway")


def accounts_of(settings: Mapping[str, str]) -> dict[tuple[str, str], Carrier]:
    """{(carrier, account): its plug-in} of `serve.carriers`: {`sf.main.token`: …}.

    Raises:
        SettingsError: no such carrier, or a setting that it can't use.
    """
    found = options_of(settings, "serve.carriers")
    return {(name, account): open_carrier(name, held) for (name, account), held in found.items()}


async def callback(call: Call) -> Response:
    """A push of a carrier; the answer is in the carrier's own form."""
    carrier = account_of(call)
    try:
        contents = read(call, carrier)
        events = [decoded(event) for event in contents.events]
        key = f"{carrier.name}/{call.parameter('account')}"
        await call.gateway.ingest.send(events, key, call.ip)
    except (Rejected, Busy) as error:
        answer = answer_of(carrier.acknowledge(error))
        if isinstance(error, Busy):
            answer.headers["retry-after"] = whole_seconds(error.retry_after_s)
        return answer
    count(call, carrier, contents)
    return answer_of(carrier.acknowledge(None))


def account_of(call: Call) -> Carrier:
    """The plug-in of the account in the path.

    Raises:
        Problem: `not_found`, the settings have no such account.
    """
    name, account = call.parameter("carrier"), call.parameter("account")
    carrier = call.gateway.accounts.get((name, account))
    if carrier is None:
        raise Problem("not_found", f"carrier {name!r}: serve.carriers has no account {account!r}")
    return carrier


def read(call: Call, carrier: Carrier) -> PushContents:
    """The contents of a push that is the carrier's.

    Raises:
        Rejected: it isn't, or nothing of it can be read.
    """
    headers = {name.lower(): value for name, value in call.request.headers.items()}
    headers.pop(CALLBACK_TOKEN, None)  # the address alone says it
    if "token" in call.request.path_params:
        headers[CALLBACK_TOKEN] = call.parameter("token")
    carrier.verify(headers, call.asked)
    return carrier.contents(call.asked)


def decoded(event: dict[str, object]) -> tuple[Event, bytes]:
    """An event of a push, and its bytes."""
    data = msgspec.json.encode(event)
    found = decode_event(data)
    assert isinstance(found, Event), "a plug-in makes events"
    return found, data


def answer_of(acknowledgement: Acknowledgement) -> Response:
    """The carrier's acknowledgement over HTTP."""
    return Response(acknowledgement.body, acknowledgement.status, acknowledgement.headers)


def count(call: Call, carrier: Carrier, contents: PushContents) -> None:
    """Count the scans of a push; those that can't be read are logged with their place."""
    scans = call.gateway.metrics.callback_scans
    scans.labels(carrier.name, "taken").inc(len(contents.events) - len(contents.unmapped))
    scans.labels(carrier.name, "unmapped").inc(len(contents.unmapped))
    for unreadable in contents.unreadable:
        scans.labels(carrier.name, "unreadable").inc()
        LOGGER.warning(
            "carrier %s: %s: %s",
            carrier.name,
            unreadable.place,
            unreadable.error.code,
            extra={"request_id": call.request_id},
        )

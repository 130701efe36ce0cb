"""Webhook: an action as a POST, signed by Standard Webhooks (standardwebhooks.com).

    webhook-id: the action_id, the same on every attempt: the receiver's idempotency key
    webhook-timestamp: when it was sent, Unix seconds
    webhook-signature: v1,BASE64 of HMAC-SHA256 over id.timestamp.body

    {"type": "action.contact_carrier", "timestamp": "2026-11-30T14:02:11.480Z",
     "data": {"action_id": …, "order_id": …, …}}

Any 2xx means that the receiver has it. Redirects aren't followed; proxies aren't used. A batch is
one such request, under an id of its own (`webhook_batch.py`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from standardwebhooks import Webhook

from schemas.errors import Busy, Rejected, SettingsError
from schemas.keys import content_id
from schemas.type_faults import choice
from sinks.actions.batches import BatchRow
from sinks.actions.channels.action_channel import (
    ActionChannel,
    ActionRequest,
    BatchChannel,
    BatchFailed,
    ReceiverSettings,
)
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.http_receiver import (
    DEADLINE_S,
    GONE,
    OPERATORS,
    REDIRECTS,
    Answer,
    HttpReceiver,
)
from sinks.actions.channels.webhook_batch import (
    ANSWER_BYTES_EACH,
    batch_body,
    count_fitting,
    results_of,
)
from sinks.actions.recipient import FIELDS

FEWEST_SECRET_BYTES = 24  # of Standard Webhooks
OPTIONS = {"url", "ca", "recipient"}
# Statuses of a batch that none of its actions is to blame for.
BLAMELESS = {429, 503, *REDIRECTS, *OPERATORS}


def open_channel(settings: ReceiverSettings) -> ActionChannel:
    """The webhook of a receiver.

    Raises:
        SettingsError: url or secret is missing or can't be used.
    """
    settings.check_options(OPTIONS, {"url"})
    ca = settings.options.get("ca")
    alone = WebhookChannel(
        settings.options["url"],
        signer_of(settings.secret, settings.variable),
        Allowed(settings.private),
        ca=Path(ca) if ca else None,
        needs=needs_of(settings.options.get("recipient")),
    )
    return WebhookBatches(alone, settings.batch) if settings.batch else alone


def needs_of(text: str | None) -> frozenset[str]:
    """The fields of a customer's personal data that an option names.

    Raises:
        SettingsError: there is no such field.
    """
    names = [name.strip() for name in text.split(",")] if text is not None else []
    for name in names:
        if name not in FIELDS:
            raise SettingsError(f"recipient: {name!r} is no field; {choice(name, [*FIELDS])}")
    return frozenset(names)


def signer_of(secret: str | None, variable: str) -> Webhook:
    """The signer with a secret, which `variable` holds.

    Raises:
        SettingsError: it is missing, no base64, or too short.
    """
    if not secret:
        raise SettingsError(f"secret is missing; set {variable} to whsec_ and 32 bytes in base64")
    try:
        signer = Webhook(secret)
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"{variable}: is no base64 behind whsec_") from error
    if len(signer._whsecret) < FEWEST_SECRET_BYTES:  # noqa: SLF001 - the library gives no length
        raise SettingsError(f"{variable}: has fewer than {FEWEST_SECRET_BYTES} bytes; make another")
    return signer


class WebhookChannel(ActionChannel):
    """One receiver at `url`.

    While a secret is being replaced, the `former` one signs too.
    """

    name = "webhook"

    def __init__(
        self,
        url: str,
        signer: Webhook,
        allowed: Allowed,
        *,
        ca: Path | None = None,
        deadline_s: float = DEADLINE_S,
        needs: frozenset[str] = frozenset(),
        former: Webhook | None = None,
    ) -> None:
        """Create a channel that isn't connected yet.

        Raises:
            SettingsError: the URL is not https, nor http on this machine.
        """
        self.http = HttpReceiver(url, allowed, ca=ca, deadline_s=deadline_s)
        self.signers = [signer, former] if former else [signer]
        self.needs = needs

    def send(self, request: ActionRequest) -> str:
        answer = self.post(request.action.action_id, request.sent_at, body_of(request))
        return self.http.judged(answer)

    def post(self, identity: str, sent_at: int, body: bytes) -> Answer:
        """Post a body, signed under its `identity` at `sent_at` (wall clock, ms).

        Raises:
            Busy: no answer; it may have arrived.
        """
        headers = {"Content-Type": "application/json", **self._signed(identity, sent_at, body)}
        return self.http.request("POST", "", body, headers)

    def fault(self) -> str | None:
        return self.http.fault()

    def close(self) -> None:
        self.http.close()

    def _signed(self, identity: str, sent_at: int, body: bytes) -> dict[str, str]:
        at = dt.datetime.fromtimestamp(sent_at // 1000, dt.UTC)
        return {
            "webhook-id": identity,
            "webhook-timestamp": str(sent_at // 1000),
            "webhook-signature": " ".join(
                signer.sign(identity, at, body.decode()) for signer in self.signers
            ),
        }


class WebhookBatches(BatchChannel):
    """One receiver that gets several actions in one request, within `limits`."""

    name = "webhook"

    def __init__(self, alone: WebhookChannel, limits: BatchRow) -> None:
        """Create a channel over that of single actions; an answer has a result for each."""
        self.alone = alone
        self.needs = alone.needs
        self.limits = limits
        alone.http.most_bytes += limits.most * ANSWER_BYTES_EACH

    def send(self, request: ActionRequest) -> str:
        return self.alone.send(request)

    def send_batch(
        self, batch: str, requests: Sequence[ActionRequest]
    ) -> Mapping[str, str | Busy | Rejected]:
        bodies = [body_of(request) for request in requests]
        count = count_fitting(bodies, self.limits.most_bytes)
        requests = requests[:count]
        body = batch_body(requests, bodies[:count])
        # An order may have changed meanwhile, and its message with it: other bytes, another id.
        identity = content_id("batch", batch, body.decode())
        try:
            answer = self.alone.post(identity, requests[0].sent_at, body)
        except Busy as busy:
            raise BatchFailed(busy.reason, busy.retry_after_s) from busy
        action_ids = [request.action.action_id for request in requests]
        return self._results(answer, action_ids)

    def fault(self) -> str | None:
        return self.alone.fault()

    def close(self) -> None:
        self.alone.close()

    def _results(
        self, answer: Answer, action_ids: Sequence[str]
    ) -> Mapping[str, str | Busy | Rejected]:
        try:
            self.alone.http.judged(answer)
        except Rejected as rejected:
            if answer.status == GONE:
                return dict.fromkeys(action_ids, rejected)
            raise
        except Busy as busy:
            if answer.status in BLAMELESS:
                raise
            raise BatchFailed(busy.reason, busy.retry_after_s) from busy
        return results_of(self.alone.http.host, answer.status, answer.text, action_ids)


def body_of(request: ActionRequest) -> bytes:
    """The body, the same on every attempt."""
    action = request.action
    data = msgspec.structs.asdict(action)
    if request.amount:
        data["amount"] = request.amount
    if request.message:
        data["message"] = request.message
    if request.recipient.fields:
        data["recipient"] = request.recipient.fields
    fields = {"type": f"action.{action.kind}", "timestamp": action.at, "data": data}
    return msgspec.json.encode(fields)

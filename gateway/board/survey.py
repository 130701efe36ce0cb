"""Survey: one question on the customer's page of a delivered order; its answer is a NOTE event.

Who has the link of the page may answer, once: the first answer counts. The rating stands on the
order's timeline, and is the outcome of the action that sent the survey, where there was one. The
words are sealed as personal data: they may name anybody.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import RedirectResponse, Response

from gateway.access.shares import Share
from gateway.api.actions import ANSWERED, entries_in
from gateway.board.links import address
from gateway.board.progress import DELIVERED, LAST, Progress
from gateway.idempotency import Repeatable
from gateway.problems import Problem
from gateway.route import Call
from schemas.alert import Action, AuditEntry
from schemas.errors import Busy, UnknownOrder
from schemas.instants import format_instant
from schemas.keys import content_id, order_key
from schemas.order import AcceptedEvent, OrderDocument
from schemas.outcomes import OutcomeQuery
from schemas.sanitization import CONTROL

SOURCE = "note:survey"  # an engine's own, so that it anchors nothing
KIND = "send_survey"  # of the action that sends the link
BEST, MOST_CHARACTERS = 5, 500
SEE_OTHER = 303

State = Literal["", "open", "thanks"]
Step = Literal["thanks", "choose"]  # after an answer; after one without a rating


class SurveyForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer: from 1, bad, to 5, very good, with some words. `lang` is the page's."""

    rating: Annotated[int, Meta(ge=1, le=BEST)] | None = None
    text: Annotated[str, Meta(max_length=4 * MOST_CHARACTERS)] = ""
    lang: Literal["en", "zh"] | None = None


class Told(msgspec.Struct, frozen=True):
    """Source of an event."""

    source: str = ""


TOLD = msgspec.json.Decoder(Told)


def state_of(
    progress: Progress,
    order: OrderDocument,
    timeline: Sequence[AcceptedEvent],
    step: Step | None,
) -> State:
    """State of the question: open once the order is delivered, then answered."""
    is_delivered = progress.stages.get(order.status or "", 0) == LAST
    if not is_delivered or DELIVERED not in order.milestones:
        return ""
    is_answered = step == "thanks" or any(
        each.status == "NOTE" and TOLD.decode(each.event).source == SOURCE for each in timeline
    )
    return "thanks" if is_answered else "open"


async def answer_survey(call: Call) -> Response:
    """Answer the question of a customer's page: a NOTE of its order and an audit entry."""
    gateway, form, token = call.gateway, call.asked, call.parameter("token")
    gateway.access.check_public_form(call.request)
    share = gateway.shares.opened(token, gateway.access.now_s())
    if share is None:
        raise Problem("not_found", "this link has ended; ask the shop for a new one")
    if form.rating is None:
        return back(call, "choose")
    key = order_key(share.tenant, share.order_id)

    async def write(at_ms: int) -> Response:
        await noted(call, share, at_ms)
        return Response()

    # The same body for every answer: the first one counts, whatever a second one holds.
    asked = Repeatable((SOURCE,), content_id(key), b"", call.at_ms, call.request_id)
    await gateway.idempotency.once(asked, write)
    return back(call, "thanks")


async def noted(call: Call, share: Share, at_ms: int) -> None:
    """Write an answer, unless the order has one or isn't delivered.

    Raises:
        Problem: `not_found`, `not_possible`. Busy: it isn't certain that it was written.
    """
    gateway, form = call.gateway, call.asked
    tenant, order_id = share.tenant, share.order_id
    try:
        found = await gateway.tiers.find(tenant, order_id)
    except UnknownOrder as error:
        raise Problem("not_found", "this link has ended; ask the shop for a new one") from error
    order, timeline = found.found.document, found.found.timeline
    state = state_of(Progress(gateway.lifecycle), order, timeline, None)
    if state == "thanks":
        return
    if not state:
        raise Problem("not_possible", "the order isn't delivered yet; answer once it is")
    # The door would leave out words with a control character, all of them.
    words = " ".join(CONTROL.sub(" ", form.text).split())[:MOST_CHARACTERS]
    reason = f"{form.rating} of {BEST}"
    action = await survey_of(call, tenant, order_id)
    about = {"action_id": action.action_id, "kind": action.kind} if action else {}
    detail = {**about, "state": ANSWERED, "rating": f"{form.rating}", "reason": reason}
    event_id = content_id("survey", tenant, order_id)
    note = {
        "event_id": event_id,
        "source": SOURCE,
        "tenant": tenant,
        "order_id": order_id,
        "status_code": "NOTE",
        "timestamp": format_instant(at_ms),
        "text": f"survey: {reason}",
        "action": {**detail, "rule": action.rule} if action else detail,
        **({"personal": {"text": words}} if words else {}),
    }
    data = msgspec.json.encode(note)
    event = gateway.ingest.checked(data)
    entry = AuditEntry(
        audit_id=content_id("audit", event_id),
        at=format_instant(at_ms),
        what=f"action.{ANSWERED}" if action else f"survey.{ANSWERED}",
        tenant=tenant,
        order_id=order_id,
        detail=detail,
        source=SOURCE,
    )
    await gateway.ingest.audit([(order_key(tenant, order_id), msgspec.json.encode(entry))])
    # The address is the customer's own: it is not kept.
    await gateway.ingest.send([(event, data)], "", "")


async def survey_of(call: Call, tenant: str, order_id: str) -> Action | None:
    """The last action that sent the survey; None without one, and while no tier has the audit."""
    query = OutcomeQuery(kind="audit", tenant=tenant, order_id=order_id)
    try:
        entries = await call.gateway.tiers.run(lambda tiers: entries_in(tiers, query))
    except Busy:  # the answer is worth more than its link to the action
        return None
    actions = [each.action for each in entries if each.action and each.action.kind == KIND]
    return max(actions, key=lambda each: each.at, default=None)


def back(call: Call, step: Step) -> Response:
    """The page again, in its language."""
    path = address(f"/t/{call.request.path_params['token']}", lang=call.asked.lang, survey=step)
    return RedirectResponse(path, SEE_OTHER)

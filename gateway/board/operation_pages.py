"""Pages of the operations: the page itself, and the form that replays dead letters.

A replay names the code and the number of letters that its viewer has seen; where there are more or
fewer by then, nothing is written.
"""

import asyncio
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import RedirectResponse, Response

from broker.fetcher import Message
from gateway.access.caller import OPERATORS, SUBSCRIBERS
from gateway.api.alerts import SOURCE, Nothing, mark_of
from gateway.api.rejected import original_of
from gateway.api.webhooks import own_webhooks
from gateway.board.operations_page import Seen, operations_page
from gateway.board.viewer import language_of, page_of, words_of
from gateway.operations.letters import REPLAYED, Replay, until_of
from gateway.operations.operations import TierSample, tier_samples
from gateway.problems import Problem
from gateway.route import Call, Route
from schemas.alert import AuditEntry
from schemas.alert_notes import Mark
from schemas.errors import Busy
from schemas.keys import DEFAULT_TENANT, order_key
from storage_tiering.tier import Tier

SEE_OTHER = 303
HTML = "text/html"


class ReplayForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code whose letters are replayed, and how many there are."""

    code: Annotated[str, Meta(min_length=1, max_length=100)]
    letters: Annotated[int, Meta(ge=1)]


async def operations(call: Call) -> Response:
    """The installation: flow, conservation, tiers, dead letters with replay, dead actions."""
    gateway = call.gateway
    sample = await asyncio.to_thread(gateway.operations.sample)
    words = words_of(gateway, language_of(call.request))
    own = own_webhooks(call) if gateway.control.is_loaded else []
    replays = gateway.operations.replays
    seen = Seen(sample, await tiers_of(call), replays, is_whole(call), own)
    page = operations_page(words, seen, gateway.now_ms())
    return page_of(
        *(call, "operations.html", "operations", words.say("page.operations")),
        page=page,
        may_set=call.caller.role in SUBSCRIBERS,
    )


async def tiers_of(call: Call) -> list[TierSample]:
    """Size and state of the tiers; none while none can be opened."""

    def samples(tiers: list[Tier]) -> list[TierSample]:
        return tier_samples(tiers)

    try:
        return await call.gateway.tiers.run(samples)
    except Busy:
        return []


def is_whole(call: Call) -> bool:
    """Return True for a caller of all tenants: letters and actions don't tell whose they are."""
    return call.caller.tenant is None


async def replay(call: Call) -> Response:
    """Write the originals of a code back to `events`, as many as were seen; audited."""
    if not is_whole(call):
        raise Problem("forbidden", "dead letters are of all tenants; take a key without a tenant")
    operations, asked = call.gateway.operations, call.asked
    found = await asyncio.to_thread(operations.letters_of, asked.code)
    if len(found) != asked.letters:
        raise Problem(
            "bad_field",
            f"letters: {len(found)} wait with code {asked.code!r} now, {asked.letters} were "
            "confirmed; look again",
            field="letters",
        )
    outcomes = [original_of(call, letter) for letter in found]
    if sealed := sum(outcome == "sealed" for outcome, _ in outcomes):
        raise Problem(
            "bad_field",
            f"code: {sealed} of the originals are sealed, and their keys aren't on this host; run "
            "'ordertide rejected replay' on the host that has them",
            field="code",
        )
    records = [record for _, record in outcomes if record is not None]
    mark = mark_of(call)
    note = Replay(by=mark.by, at=mark.at, ip=mark.ip, letters=len(records), until=until_of(found))
    await audited(call, found, mark)
    if records:
        await asyncio.wrap_future(call.gateway.ingest.send_again(records))
    await call.gateway.control.put(REPLAYED, asked.code, msgspec.json.encode(note))
    return RedirectResponse("/operations", SEE_OTHER)


async def audited(call: Call, found: list[Message], mark: Mark) -> None:
    """Write the replay to the audit of each order that an original names."""
    entries = list[tuple[str, bytes]]()
    for tenant, order_id in dict.fromkeys(filter(None, map(order_in, found))):
        entry = AuditEntry(
            audit_id=sha256(f"{call.request_id} {tenant} {order_id}".encode()).hexdigest()[:32],
            at=mark.at,
            what="rejected.replayed",
            tenant=tenant,
            order_id=order_id,
            detail={"code": call.asked.code},
            operator=mark.by,
            ip=mark.ip,
            source=SOURCE,
        )
        entries.append((order_key(tenant, order_id), msgspec.json.encode(entry)))
    if entries:
        await call.gateway.ingest.audit(entries)


Id = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Named(msgspec.Struct, frozen=True):
    """The order that an original names, whatever else is wrong with it."""

    order_id: Id
    tenant: Id = DEFAULT_TENANT


NAMED = msgspec.json.Decoder(Named)


def order_in(letter: Message) -> tuple[str, str] | None:
    """(tenant, order id) that an original names; None where it can't be read."""
    try:
        named = NAMED.decode(letter.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return named.tenant, named.order_id


# method, path, handler, asks, answers, roles, scope, class, part, problems
OPERATION_PAGES: tuple[Route, ...] = (
    Route(
        *("GET", "/operations", operations, Nothing, HTML, OPERATORS, "own", "page", "board"),
        problems=("bad_field", "tier_unreachable"),
    ),
    Route(
        *("POST", "/operations/replay", replay, ReplayForm, HTML),
        *(OPERATORS, "own", "write", "board"),
        problems=("bad_field", "bad_json", "bad_encoding", "busy", "too_large", "too_slow"),
    ),
)

"""The route table: every route of the gateway, frozen.

From it come the HTTP routes, their access control, the metrics labels and the walk of the tests
over all roles. No route exists outside it.
"""

import msgspec

from gateway.access.caller import EVERY_ROLE, OPERATORS, ROLES, STAFF, SUBSCRIBERS, Role
from gateway.api import (
    actions,
    alerts,
    alerts_bulk,
    callbacks,
    commands,
    events,
    explanations,
    export,
    index,
    keys,
    lanes,
    orders,
    personal,
    rejected,
    search,
    stream,
    webhook_deliveries,
    webhooks,
)
from gateway.board.alert_pages import ALERT_PAGES
from gateway.board.operation_pages import OPERATION_PAGES
from gateway.board.pages import PAGES
from gateway.board.personal_pages import PERSONAL_PAGES
from gateway.board.sign_in_pages import SIGN_IN_PAGES
from gateway.board.unsubscribe_page import UNSUBSCRIBE_PAGES
from gateway.board.webhook_pages import WEBHOOK_PAGES
from gateway.route import EVERYONE, Handler, Route

PARTIES = ROLES - {"customer"}  # live counts and cards name no customer
CALLBACK = "/v1/carriers/{carrier}/{account}/callback"
READ = ("bad_field", "tier_unreachable")
TAKEN = ("bad_json", "bad_encoding", "busy", "too_large", "too_slow")
FEEDERS: frozenset[Role] = frozenset({"admin", "ingest"})
ONE = (*READ, "unknown_order")
ADMINS: frozenset[Role] = frozenset({"admin"})
SETTERS = ROLES - {"auditor"}  # those that may set a status of what they see
ALERT_WRITES: tuple[tuple[str, Handler, type[msgspec.Struct]], ...] = (
    ("ack", alerts.acknowledge, alerts.Nothing),
    ("snooze", alerts.snooze, alerts.Snooze),
    ("assign", alerts.assign, alerts.Assign),
    ("comment", alerts.comment, alerts.Comment),
)

Write = tuple[str, Handler, type[msgspec.Struct], type[msgspec.Struct], int]
REQUESTED = (alerts.Nothing, webhook_deliveries.Requested, 202)
WEBHOOK_WRITES: tuple[Write, ...] = (
    ("", webhooks.change, webhooks.WebhookChange, webhooks.WebhookView, 200),
    ("/pause", webhooks.pause, alerts.Nothing, webhooks.WebhookView, 200),
    ("/resume", webhooks.resume, alerts.Nothing, webhooks.WebhookView, 200),
    ("/secret/rotate", webhooks.rotate, alerts.Nothing, webhooks.NewWebhook, 200),
    ("/test", webhook_deliveries.send_test, *REQUESTED),
    ("/replay", webhook_deliveries.replay_dead, *REQUESTED),
    ("/deliveries/{delivery}/replay", webhook_deliveries.replay, *REQUESTED),
)
OF_WEBHOOK = {"/test": "webhook_paused", "/deliveries/{delivery}/replay": "unknown_delivery"}

# method, path, handler, asks, answers, roles, scope, class, part, problems
ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1", index.index, None, index.Index, EVERYONE, "any", "query", "api"),
    Route(
        *("GET", "/v1/openapi.json", index.document, None, "application/json"),
        *(EVERYONE, "any", "query", "api"),
    ),
    Route("GET", "/v1/me", index.me, None, index.Me, EVERY_ROLE, "own", "query", "api"),
    Route(
        *("GET", "/v1/problems/{code}", index.problem, None, index.Explanation),
        *(EVERYONE, "any", "query", "api"),
        problems=("not_found",),
    ),
    Route(
        *("GET", "/v1/lanes", lanes.lanes, None, lanes.LanesAnswer),
        *(PARTIES, "own", "query", "api"),
        problems=("tier_unreachable",),
    ),
    Route(
        *("GET", "/v1/lanes/{lane}", lanes.lane, lanes.LaneQuery, lanes.LaneAnswer),
        *(PARTIES, "own", "query", "api"),
        problems=READ,
    ),
    Route(
        *("GET", "/v1/alerts", alerts.alerts, alerts.AlertsAsked, alerts.AlertsAnswer),
        *(STAFF, "own", "query", "api"),
        problems=READ,
    ),
    *(
        Route(
            *("POST", f"/v1/alerts/{{id}}/{name}", handler, asks, alerts.AlertView),
            *(OPERATORS, "own", "write", "api"),
            problems=(*READ, *TAKEN, "unknown_alert"),
        )
        for name, handler, asks in ALERT_WRITES
    ),
    Route(
        *("POST", "/v1/actions/{id}/outcome", actions.outcome, actions.Report, actions.Reported),
        *(actions.REPORTERS, "own", "write", "api"),
        problems=(*READ, *TAKEN, "unknown_action"),
    ),
    Route(
        *("POST", "/v1/alerts/bulk", alerts_bulk.bulk),
        *(alerts_bulk.BulkAsked, alerts_bulk.BulkAnswer),
        roles=OPERATORS,
        scope="own",
        cls="write",
        part="api",
        problems=(*READ, *TAKEN, "count_differs"),
    ),
    Route(
        *("GET", "/v1/stream", stream.stream, stream.StreamAsked, stream.MEDIA_TYPE),
        *(ROLES, "own", "stream", "api"),
        problems=(*READ, "limited"),
    ),
    Route(
        *("POST", "/v1/events", events.post_events, "body", events.EventsResult),
        *(FEEDERS, "own", "ingest", "api"),
        problems=TAKEN,
        statuses=(200, 207, 422),
    ),
    *(
        Route(
            *("POST", path, callbacks.callback, "body", "application/json"),
            *(EVERYONE, "any", "callback", "callbacks"),
            problems=("not_found", *TAKEN),
        )
        for path in (CALLBACK, f"{CALLBACK}/{{token}}")
    ),
    Route(
        *("GET", "/v1/lookup", search.lookup, search.LookupAsked, search.LookupAnswer),
        *(ROLES, "own", "query", "api"),
        problems=READ,
    ),
    Route(
        *("GET", "/v1/orders", search.search, search.SearchAsked, search.SearchAnswer),
        *(ROLES, "own", "search", "api"),
        problems=(*READ, "unknown_attribute"),
    ),
    Route(
        *("GET", "/v1/orders/export", export.export, export.ExportAsked, export.MEDIA_TYPES),
        *(STAFF, "own", "report", "api"),
        problems=(*READ, "unknown_attribute"),
    ),
    Route(
        *("GET", "/v1/orders/{id}/events", orders.events, orders.EventsAsked, orders.EventsAnswer),
        *(ROLES, "own", "query", "api"),
        problems=ONE,
    ),
    Route(
        *("GET", "/v1/orders/{id}/explain", explanations.explanation),
        *(explanations.ExplanationAsked, explanations.ExplanationAnswer),
        roles=OPERATORS,
        scope="own",
        cls="query",
        part="api",
        problems=ONE,
    ),
    Route(
        *("POST", "/v1/orders/{id}/commands", commands.command),
        *(commands.CommandAsked, commands.CommandAnswer),
        roles=SETTERS,
        scope="own",
        cls="write",
        part="api",
        problems=(*ONE, *TAKEN, "not_possible"),
        statuses=(200, 202),
    ),
    Route(
        *("GET", "/v1/orders/{id}/personal", personal.personal),
        *(orders.OrderAsked, personal.PersonalAnswer),
        roles=STAFF,
        scope="own",
        cls="query",
        part="api",
        problems=(*ONE, "keys_missing"),
    ),
    # A report by its rate, and no write: what comes of it isn't kept under an Idempotency-Key.
    Route(
        *("POST", "/v1/orders/{id}/personal", personal.unmask),
        *(personal.UnmaskAsked, personal.PersonalAnswer),
        roles=OPERATORS,
        scope="own",
        cls="report",
        part="api",
        problems=(*ONE, *TAKEN, "keys_missing"),
    ),
    Route(
        *("GET", "/v1/orders/{id}", orders.order, orders.OrderAsked, orders.OrderAnswer),
        *(ROLES, "own", "query", "api"),
        problems=ONE,
        statuses=(200, 304),
    ),
    Route(
        *("GET", "/v1/rejected", rejected.rejected),
        *(rejected.RejectedAsked, rejected.RejectedAnswer),
        roles=STAFF,
        scope="own",
        cls="report",
        part="api",
        problems=READ,
    ),
    Route(
        *("POST", "/v1/rejected/replay", rejected.replay),
        *(rejected.ReplayAsked, rejected.ReplayAnswer),
        roles=OPERATORS,
        scope="own",
        cls="write",
        part="api",
        problems=(*READ, *TAKEN),
    ),
    Route("GET", "/v1/keys", keys.keys, None, keys.KeysAnswer, ADMINS, "own", "query", "api"),
    Route(
        *("POST", "/v1/keys", keys.add, keys.KeyAsked, keys.NewKey, ADMINS, "own", "write", "api"),
        problems=("bad_field", *TAKEN),
        statuses=(201,),
    ),
    Route(
        *("DELETE", "/v1/keys/{id}", keys.revoke, None, keys.KeyView, ADMINS, "own"),
        cls="write",
        part="api",
        problems=("bad_field", *TAKEN, "unknown_key"),
    ),
    Route(
        *("GET", "/v1/webhooks", webhooks.webhooks, None, webhooks.WebhooksAnswer),
        *(SUBSCRIBERS, "own", "query", "api"),
        problems=("bad_field", "tier_unreachable"),
    ),
    Route(
        *("POST", "/v1/webhooks", webhooks.add, webhooks.WebhookAsked, webhooks.NewWebhook),
        *(SUBSCRIBERS, "own", "write", "api"),
        problems=("bad_field", *TAKEN, "too_many"),
        statuses=(201,),
    ),
    Route(
        *("GET", "/v1/webhooks/{id}", webhooks.webhook, None, webhooks.WebhookView),
        *(SUBSCRIBERS, "own", "query", "api"),
        problems=(*READ, "unknown_webhook"),
    ),
    Route(
        *("GET", "/v1/webhooks/{id}/deliveries", webhook_deliveries.deliveries),
        *(webhook_deliveries.DeliveriesAsked, webhook_deliveries.DeliveriesAnswer),
        roles=SUBSCRIBERS,
        scope="own",
        cls="query",
        part="api",
        problems=(*READ, "unknown_webhook", "deliveries_elsewhere"),
    ),
    *(
        Route(
            *("POST", f"/v1/webhooks/{{id}}{place}", handler, asks, answers),
            *(SUBSCRIBERS, "own", "write", "api"),
            problems=(
                *("bad_field", *TAKEN, "unknown_webhook"),
                *(OF_WEBHOOK[each] for each in OF_WEBHOOK if each == place),
            ),
            statuses=(status,),
        )
        for place, handler, asks, answers, status in WEBHOOK_WRITES
    ),
    Route(
        *("DELETE", "/v1/webhooks/{id}", webhooks.remove, None, webhooks.WebhookView),
        *(SUBSCRIBERS, "own", "write", "api"),
        problems=("bad_field", *TAKEN, "unknown_webhook"),
    ),
    *PAGES,
    *PERSONAL_PAGES,
    *UNSUBSCRIBE_PAGES,
    *SIGN_IN_PAGES,
    *ALERT_PAGES,
    *OPERATION_PAGES,
    *WEBHOOK_PAGES,
)

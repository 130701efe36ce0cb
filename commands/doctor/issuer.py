"""The doctor on the OpenID Connect issuer: its discovery document, keys, clock and our client."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.doctor.http import HttpTarget, Unanswered
from commands.key import address_of
from schemas.errors import SettingsError

REMEDY = "correct it; 'ordertide config check' lists every fault"


def check(context: CheckContext) -> Iterator[Finding]:
    """The issuer of `[oidc]`; nobody is signed in."""
    from commands.wiring.gateway import oidc_of
    from gateway.access.access import origin_of
    from gateway.access.issuer import DISCOVERY, usable
    from gateway.access.oidc import RETURN
    from gateway.access.sessions import Sessions
    from gateway.access.signing import Signer
    from gateway.access.tokens import ALGORITHMS
    from gateway.problems import Problem

    serve, settings = context.settings.serve, context.settings.oidc
    try:
        oidc = oidc_of(serve, settings, Sessions(Signer(b""), Path(serve.folder)))
    except SettingsError as error:
        yield problem("settings", str(error), REMEDY)
        return
    if oidc is None:
        yield ok("issuer", "none is set: keys and printed links alone sign in")
        return
    address = oidc.issuer.url.rstrip("/") + DISCOVERY
    target = HttpTarget(address, "[oidc] issuer", context.timeout_s, ca_file=settings.ca)
    try:
        clock = target.get("").clock
        published = asyncio.run(oidc.issuer.published())
    except Unanswered as error:
        yield error.finding
        return
    except Problem as error:
        yield problem("issuer", error.detail, "correct [oidc] issuer, or the issuer")
        return
    yield ok("reachable", oidc.issuer.url)
    keys = [key for key in published.keys if any(usable(key, each) for each in ALGORITHMS)]
    if keys:
        yield ok("keys", f"{len(keys)} for signatures that are taken")
    else:
        remedy = f"let the issuer sign with one of {', '.join(ALGORITHMS)}"
        yield problem("keys", "none for a signature that is taken", remedy)
    if "S256" not in published.metadata.code_challenge_methods_supported:
        yield warning("PKCE", "S256 is not supported", "enable it for our client at the issuer")
    origin = origin_of(address_of(serve))
    yield ok("client", f"{oidc.client_id}, which needs the redirect address {origin}{RETURN}")
    takes = f"tokens for {settings.audience}" if settings.audience else "keys alone"
    yield ok("API", f"it takes {takes} ([oidc] audience)")
    yield clock

"""The doctor on the warm tier: Elasticsearch, where the settings name it, and our templates."""

from collections.abc import Iterator
from importlib.metadata import version
from urllib.parse import quote

from commands.doctor import elasticsearch as doctor_elasticsearch
from commands.doctor.findings import CheckContext, Finding, ok, problem
from commands.doctor.http import HttpTarget, Unanswered
from commands.doctor.vouching import staleness_of
from schemas.errors import OrdertideError
from storage_tiering.warm.opening import open_elastic


def check(context: CheckContext) -> Iterator[Finding]:
    """The cluster and the templates; a local folder is the host's business."""
    warm = context.settings.warm
    if not warm.url:
        yield ok("place", "a folder on this host: see host")
        yield from staleness_of(context, "warm")
        return
    headers = {"Authorization": f"ApiKey {warm.api_key}"} if warm.api_key else None
    target = HttpTarget(
        with_login(warm.url, warm.user, warm.password),
        "[warm] url",
        context.timeout_s,
        ca_file=warm.ca,
        headers=headers,
    )
    try:
        target.get("/")
    except Unanswered as error:
        yield error.finding
        return
    major = int(version("elasticsearch").partition(".")[0])
    yield from doctor_elasticsearch.check_server(target, major, warm.prefix)
    yield from templates(context)
    yield from staleness_of(context, "warm")


def with_login(url: str, user: str | None, password: str | None) -> str:
    """The URL with user and password, as `HttpTarget` takes them."""
    if not user or "@" in url:
        return url
    scheme, _, place = url.partition("://")
    return f"{scheme}://{quote(user)}:{quote(password or '')}@{place}"


def templates(context: CheckContext) -> Iterator[Finding]:
    """Check that `ordertide tier init` has been run by this version or a later one."""
    try:
        tier = open_elastic(context.settings, timeout_s=context.timeout_s)
        tier.templates.check()
    except OrdertideError as error:
        yield problem("templates", str(error), "run 'ordertide tier init'")
    else:
        yield ok("templates", f"there, with the prefix {context.settings.warm.prefix}")

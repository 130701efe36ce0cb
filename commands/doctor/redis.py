"""The doctor on Redis, the hot tier: one server, or the primaries of a cluster."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from commands.doctor.clock import clock_finding
from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.doctor.vouching import staleness_of
from commands.wiring.process import now_ms
from schemas.instants import SECOND_MS
from schemas.os_faults import no_answer
from schemas.settings.model import HotSettings
from schemas.settings.secrets import masked_text
from storage_tiering.hot.config_warnings import cautions_of
from storage_tiering.hot.opening import hot_servers
from storage_tiering.hot.servers import Cluster

OLDEST = (6, 2)
TOLERANCE_MS = SECOND_MS
FULL_WARNING = 0.8
FULL_PROBLEM = 0.95
LOG_IN = "check user and password ([hot] user, ORDERTIDE_HOT_PASSWORD), and the user's ACL"
SCRIPT = "return {type(cjson), type(redis.call)}"


class Server(NamedTuple):
    """A server that answered, and its INFO."""

    client: Redis
    info: dict[str, Any]
    hot: HotSettings


def check(context: CheckContext) -> Iterator[Finding]:
    """Can it be reached; and if so, everything else, of each server that is written to."""
    hot = context.settings.hot
    where = masked_text(hot.url)
    servers = hot_servers(context.settings, timeout_s=context.timeout_s)
    try:
        clients = servers.primaries() if isinstance(servers, Cluster) else [servers]
        answered = [Server(client, client.info(), hot) for client in clients]
    except (AuthenticationError, NoPermissionError) as error:
        yield problem("authorised", f"{where}: {error}", LOG_IN)
        return
    except RedisError as error:
        remedy = "check [hot] url, that the server runs, and what stands between (firewall, TLS)"
        yield problem("reachable", f"{where}: {no_answer(error)}", remedy)
        return
    yield ok("reachable", where if len(answered) == 1 else f"{where}: {len(answered)} primaries")
    for server in answered:
        for each in CHECKS:
            yield from each(server)
    servers.close()
    yield from staleness_of(context, "hot")


def version(server: Server) -> Iterator[Finding]:
    """Check the version that the scripts require."""
    text = str(server.info["redis_version"])
    if tuple(int(part) for part in text.split(".")[:2]) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield problem("version", f"{text} is older than {wanted}", f"upgrade to {wanted} or later")
    else:
        yield ok("version", text)


def place(server: Server) -> Iterator[Finding]:
    """A replica takes no writes, and a cluster's node only some."""
    if server.info.get("role") == "slave":
        yield problem("role", "this is a replica", "name the primary in [hot] url")
    if server.info.get("cluster_enabled") and not server.hot.cluster:
        yield problem("role", "this is a node of a cluster", "set [hot] cluster = true")


def replicas(server: Server) -> Iterator[Finding]:
    """Check the number of replicas where writes wait for some."""
    there, wanted = int(server.info.get("connected_slaves", 0)), server.hot.replicas
    if there < wanted:
        found = f"{there} connected, [hot] replicas waits for {wanted}"
        yield problem("replicas", found, "connect more, or wait for fewer")


def scripts(server: Server) -> Iterator[Finding]:
    """Every write is a Lua script."""
    try:
        server.client.eval(SCRIPT, 0)
    except NoPermissionError as error:
        yield problem(
            "authorised", str(error), "give the user the rights that docs/operations.md lists"
        )
    except RedisError as error:
        yield problem("scripts", str(error), "use a server with Lua scripts (EVAL)")
    else:
        yield ok("scripts", "Lua scripts run")


def clock(server: Server) -> Iterator[Finding]:
    """TIME against ours."""
    asked_at = now_ms()
    seconds, micros = server.client.time()
    round_trip_ms = now_ms() - asked_at
    server_at = seconds * SECOND_MS + micros // 1000
    yield clock_finding(server_at - asked_at - round_trip_ms // 2, TOLERANCE_MS, round_trip_ms)


def memory(server: Server) -> Iterator[Finding]:
    """Check the memory in use against its limit."""
    used, limit = int(server.info["used_memory"]), int(server.info.get("maxmemory", 0))
    if not limit:
        remedy = "set maxmemory to what the host can spare, with maxmemory-policy noeviction"
        yield warning("memory", f"{used / 2**20:.0f} MiB used, without a limit", remedy)
        return
    share = used / limit
    found = f"{used / 2**20:.0f} of {limit / 2**20:.0f} MiB used ({share:.0%})"
    remedy = "raise maxmemory, or shorten [hot] keep"
    if share >= FULL_PROBLEM:
        yield problem("memory", found, remedy)
    elif share >= FULL_WARNING:
        yield warning("memory", found, remedy)
    else:
        yield ok("memory", found)


def keeping(server: Server) -> Iterator[Finding]:
    """Report the warnings of the tier at its start."""
    for sentence in cautions_of(server.info):
        found, _, remedy = sentence.removeprefix("Redis: ").partition("; ")
        yield warning("keeping", found, remedy)


Check = Callable[[Server], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (version, place, replicas, scripts, clock, memory, keeping)

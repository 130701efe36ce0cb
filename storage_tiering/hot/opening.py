"""The hot tier, opened by the settings."""

from redis import Redis

from schemas.instants import parse_duration
from schemas.settings.model import Settings
from storage_tiering.hot.redis import Access, HotSettings, RedisTier, connect, connect_cluster
from storage_tiering.hot.servers import Cluster
from storage_tiering.tier import Tier


def open_hot(settings: Settings) -> Tier:
    """Redis; nothing is queried yet."""
    keep_ms = parse_duration(settings.hot.keep, of="hot.keep")
    # The clock of recorded history has nothing to do with the one by which Redis would expire.
    ttl_ms = None if settings.track.clock == "recorded" else HotSettings().safety_ttl_ms
    hot = HotSettings(
        prefix=f"{settings.hot.prefix}:",
        keep_ms=keep_ms,
        safety_ttl_ms=ttl_ms,
        replicas=settings.hot.replicas,
    )
    return RedisTier(hot_servers(settings), hot)


def hot_servers(settings: Settings, *, timeout_s: float = 5.0) -> "Redis | Cluster":
    """A client of the Redis, or of the cluster, that the settings name."""
    hot = settings.hot
    access = Access(
        user=hot.user,
        password=hot.password,
        ca=hot.ca,
        certificate=hot.certificate,
        key=hot.key,
        timeout_s=timeout_s,
    )
    if hot.cluster:
        return connect_cluster(hot.url, access, other_nodes=hot.nodes)
    return connect(hot.url, access)

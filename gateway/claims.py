"""Claims: which writes were begun under an Idempotency-Key, and their answers.

A claim holds the digest of the write, the instant of its first attempt and, once there is one, its
answer. One attempt at a time has it. `RedisClaims` is shared by every `serve`; `MemoryClaims` is
that of one process.
"""

from typing import NamedTuple, Protocol

from redis import Redis

from schemas.instants import DAY_MS
from storage_tiering.hot.errors import answers, execute
from storage_tiering.hot.servers import Cluster, Single

KEEP_MS = DAY_MS
ATTEMPT_MS = 60_000  # an attempt that ended without a word is over then
MOST_CLAIMS = 10_000


class Claim(NamedTuple):
    """A claim at the beginning of an attempt.

    `at_ms` is the instant of the first attempt. `answer` is the one that was given, None before.
    `is_ours`: this attempt may write; else another one is at it.
    """

    digest: str
    at_ms: int
    answer: bytes | None
    is_ours: bool


class Claims(Protocol):
    """A store of claims by name, each for 24 hours; see tests/contracts/test_claims.py."""

    def claim(self, name: str, digest: str, now_ms: int) -> Claim:
        """Begin an attempt; the claim is that of the first attempt under this name.

        Raises:
            OrdertideError: the store is unavailable.
        """
        ...

    def answered(self, name: str, answer: bytes) -> None:
        """Keep the answer of an attempt, which ends it."""
        ...

    def release(self, name: str) -> None:
        """End an attempt without an answer: the next one may write."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class HeldClaim(NamedTuple):
    """A claim in memory; one attempt has it until `taken_until_ms`."""

    digest: str
    at_ms: int
    answer: bytes | None
    taken_until_ms: int


class MemoryClaims(Claims):
    """The claims of one process; beyond 10,000 the oldest is forgotten."""

    def __init__(self) -> None:
        """Create a store without claims."""
        self._held: dict[str, HeldClaim] = {}

    def claim(self, name: str, digest: str, now_ms: int) -> Claim:
        held = self._held.get(name)
        if held is None or held.at_ms + KEEP_MS <= now_ms:
            self._held.pop(name, None)
            held = HeldClaim(digest, now_ms, None, taken_until_ms=0)
        is_ours = held.answer is None and held.taken_until_ms <= now_ms
        if is_ours:
            self._held[name] = held._replace(taken_until_ms=now_ms + ATTEMPT_MS)
        if len(self._held) > MOST_CLAIMS:
            del self._held[next(iter(self._held))]
        return Claim(held.digest, held.at_ms, held.answer, is_ours)

    def answered(self, name: str, answer: bytes) -> None:
        if name in self._held:
            self._held[name] = self._held[name]._replace(answer=answer)

    def release(self, name: str) -> None:
        if name in self._held:
            self._held[name] = self._held[name]._replace(taken_until_ms=0)

    def close(self) -> None:
        pass  # nothing is open


class RedisClaims(Claims):
    """Claims in the Redis of the hot tier, a hash each, in every way that its ACL permits."""

    def __init__(self, client: "Redis | Cluster", prefix: str) -> None:
        """Create a store whose keys begin with `prefix`; nothing is sent yet."""
        self._servers = client if isinstance(client, Cluster) else Single(client)
        self._prefix = f"{prefix}idempotency:"

    def claim(self, name: str, digest: str, now_ms: int) -> Claim:
        key = self._prefix + name
        with answers():
            pipe = self._servers.pipeline()
            pipe.hsetnx(key, "digest", digest)
            pipe.hsetnx(key, "at", str(now_ms))
            pipe.hsetnx(key, "taken", str(now_ms + ATTEMPT_MS))
            pipe.pexpire(key, KEEP_MS)
            pipe.hgetall(key)
            *_, is_free, _, fields = execute(pipe)
            answer = fields.get(b"answer")
            if not is_free and answer is None and int(fields[b"taken"]) <= now_ms:
                pipe = self._servers.pipeline()
                pipe.hset(key, "taken", str(now_ms + ATTEMPT_MS))
                execute(pipe)
                is_free = True
        is_ours = bool(is_free) and answer is None
        return Claim(fields[b"digest"].decode(), int(fields[b"at"]), answer, is_ours)

    def answered(self, name: str, answer: bytes) -> None:
        with answers():
            pipe = self._servers.pipeline()
            pipe.hset(self._prefix + name, "answer", answer)
            pipe.pexpire(self._prefix + name, KEEP_MS)
            execute(pipe)

    def release(self, name: str) -> None:
        with answers():
            pipe = self._servers.pipeline()
            pipe.hdel(self._prefix + name, "taken")
            execute(pipe)

    def close(self) -> None:
        self._servers.close()

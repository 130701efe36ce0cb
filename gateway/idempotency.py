"""Idempotency: a write that comes again with its Idempotency-Key gets the answer of the first.

Whatever was answered below 500 is kept for 24 hours, encrypted under the installation's secret: a
new API key may be in it. A write whose outcome isn't certain is tried again, with the instant of
its first attempt, so that the messages of both are the same.
"""

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.responses import Response

from gateway.claims import Claim, Claims, MemoryClaims
from gateway.problems import Problem
from schemas.errors import OrdertideError
from schemas.keys import content_id

LOGGER = logging.getLogger("ordertide.gateway")
HEADER = "idempotency-key"
REPLAYED = "idempotency-replayed"
LONGEST_KEY = 255
NONCE_BYTES = 12
UNCERTAIN = 500  # answers from here on are no outcome
LIMITED = 429
RETRY_AFTER_S = 1.0

Write = Callable[[int], Awaitable[Response]]  # takes the instant of the first attempt, in ms


class Repeatable(NamedTuple):
    """A write that may come again.

    `name` is the caller's key and the route, `key` its Idempotency-Key, `data` the body.
    """

    name: tuple[str, ...]
    key: str
    data: bytes
    now_ms: int
    request_id: str


class KeptAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is kept."""

    status: int
    headers: dict[str, str]
    body: bytes


KEPT = msgspec.msgpack.Decoder(KeptAnswer)


class Idempotency:
    """Gives repeated writes their first answers; without `claims`, in this process alone."""

    def __init__(self, secret: bytes, claims: Claims | None = None) -> None:
        """Create it with the installation's secret."""
        self._cipher = AESGCM(hmac.new(secret, b"ordertide idempotency", sha256).digest())
        self._shared = claims
        self._own = MemoryClaims()
        self._is_away = False

    async def once(self, asked: Repeatable, write: Write) -> Response:
        """The answer of a write, or that of an earlier one with the same name and key.

        Raises:
            Problem: `idempotency_mismatch`, the body is another; `busy`, it is being written;
                `bad_field`, the key is too long; and what `write` raises.
        """
        if not 0 < len(asked.key) <= LONGEST_KEY:
            raise Problem(
                "bad_field", f"Idempotency-Key: write 1 to {LONGEST_KEY} characters", field=HEADER
            )
        claimed = content_id(*asked.name, asked.key)
        digest = sha256(asked.data).hexdigest()
        claims, claim = await self._claim(claimed, digest, asked.now_ms)
        if claim.digest != digest:
            if claim.is_ours:
                await self._told(lambda: claims.release(claimed))
            raise Problem(
                "idempotency_mismatch",
                "Idempotency-Key: it came with another body before; take a new key",
                field=HEADER,
            )
        if claim.answer is not None:
            return self._opened(claimed, claim.answer)
        if not claim.is_ours:
            raise Problem(
                "busy", "Idempotency-Key: this write is being made", retry_after_s=RETRY_AFTER_S
            )
        try:
            response = await write(claim.at_ms)
        except Problem as problem:
            if problem.status < UNCERTAIN and problem.status != LIMITED:
                await self._keep(claims, claimed, problem.response(asked.request_id))
            else:
                await self._told(lambda: claims.release(claimed))
            raise
        except BaseException:
            await self._told(lambda: claims.release(claimed))
            raise
        await self._keep(claims, claimed, response)
        return response

    def close(self) -> None:
        """Close the store."""
        if self._shared:
            self._shared.close()

    async def _keep(self, claims: Claims, claimed: str, response: Response) -> None:
        headers = {
            name: value for name, value in response.headers.items() if name != "content-length"
        }
        kept = KeptAnswer(response.status_code, headers, bytes(response.body))
        nonce = secrets.token_bytes(NONCE_BYTES)
        data = self._cipher.encrypt(nonce, msgspec.msgpack.encode(kept), claimed.encode())
        await self._told(lambda: claims.answered(claimed, nonce + data))

    def _opened(self, claimed: str, data: bytes) -> Response:
        try:
            plain = self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], claimed.encode())
        except InvalidTag as error:
            raise Problem(
                "idempotency_mismatch",
                "Idempotency-Key: its answer can't be read with the secret in use; take a new key",
                field=HEADER,
            ) from error
        kept = KEPT.decode(plain)
        return Response(kept.body, kept.status, {**kept.headers, REPLAYED: "true"})

    async def _claim(self, name: str, digest: str, now_ms: int) -> tuple[Claims, Claim]:
        """The store that answers, and the claim in it."""
        if self._shared is not None:
            shared = self._shared
            try:
                claim = await asyncio.to_thread(lambda: shared.claim(name, digest, now_ms))
            except OrdertideError as error:
                self._note_away(error)
            else:
                self._is_away = False
                return shared, claim
        return self._own, self._own.claim(name, digest, now_ms)

    async def _told(self, note: Callable[[], None]) -> None:
        """Write to the store; where that fails, the next attempt writes once more."""
        try:
            await asyncio.to_thread(note)
        except OrdertideError as error:
            self._note_away(error)

    def _note_away(self, error: OrdertideError) -> None:
        if not self._is_away:
            LOGGER.warning("Idempotency-Keys hold in this process alone: %s", error)
        self._is_away = True

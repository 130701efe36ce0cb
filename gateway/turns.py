"""Turns of the event loop: one request that feeds events in each, so that queries come in between.

The loop serves what is ready in the sequence of its arrival. A hundred callbacks that arrive at
once would be handled in one turn, and a query that comes next would wait for all of them. Here the
first is handled in this turn and the others in the next ones; between two turns the loop reads what
has arrived. A query has several steps (its request, its thread's answer), and each waits for one
callback at most.
"""

import asyncio
from collections import deque


class Turns:
    """Turns of the loop that runs; used in its thread alone."""

    def __init__(self) -> None:
        """Create turns that no request waits for."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_taken = False

    async def next(self) -> None:
        """Return in a turn that no other request has."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            loop.call_soon(self._pass_on)
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _pass_on(self) -> None:
        """Give the next turn to the request that has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else its request was given up
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._pass_on)
                return
        self._is_taken = False

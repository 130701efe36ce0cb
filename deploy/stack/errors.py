"""Errors around a server."""

from schemas.errors import OrdertideError


class StackError(OrdertideError):
    """A server can't be fetched, started or stopped; with the server, the reason and the remedy."""


class NoAnswer(StackError):
    """A server doesn't answer, yet or any more."""

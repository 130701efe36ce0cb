"""What goes wrong around a server."""

from schemas.errors import OrdertideError


class StackError(OrdertideError):
    """A server can't be fetched, started or stopped: says which, why and the way out."""


class NoAnswer(StackError):
    """A server doesn't answer, yet or any more."""

"""Symbol tables: long names as small numbers, in the order in which they were first seen."""

from schemas.errors import Rejected


class Symbols:
    """Names and their numbers, at most `limit` of them; kept with the state that uses them."""

    def __init__(
        self, names: list[str] | None = None, *, of: str = "name", limit: int = 65_535
    ) -> None:
        """Start from the `names` of a snapshot, or empty."""
        self.names = list(names or [])
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.of = of
        self.limit = limit

    def number(self, name: str) -> int:
        """The number of `name`, a new one if it is new.

        Raises:
            Rejected: `too_many_names`.
        """
        number = self.numbers.get(name)
        if number is None:
            number = len(self.names)
            if number >= self.limit:
                raise Rejected("too_many_names", f"{self.of} {name!r} would be number {number + 1}")
            self.numbers[name] = number
            self.names.append(name)
        return number

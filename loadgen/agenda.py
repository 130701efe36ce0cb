"""Agenda: scheduled work, by slice of time."""

import heapq
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Agenda(Generic[Thing]):
    """Lists of things by slice; empty slices cost nothing, as most are where orders are rare."""

    def __init__(self) -> None:
        """Create an empty agenda."""
        self.lists: dict[int, list[Thing]] = {}
        self.numbers: list[int] = []

    def put(self, number: int, thing: Thing) -> None:
        """Note something for a slice."""
        listed = self.lists.get(number)
        if listed is None:
            self.lists[number] = [thing]
            heapq.heappush(self.numbers, number)
        else:
            listed.append(thing)

    def first(self) -> int | None:
        """The first slice that has something; None if there is nothing at all."""
        while self.numbers and self.numbers[0] not in self.lists:
            heapq.heappop(self.numbers)
        return self.numbers[0] if self.numbers else None

    def take(self, number: int) -> list[Thing]:
        """Remove and return the work of a slice."""
        return self.lists.pop(number, [])

    def take_all(self) -> list[Thing]:
        """Everything there is."""
        found = [thing for listed in self.lists.values() for thing in listed]
        self.lists, self.numbers = {}, []
        return found

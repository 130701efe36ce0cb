"""A tier that can list the orders of a customer, for an erasure."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Customers(Protocol):
    """A tier with the documents of orders beyond what the topics still hold."""

    def orders_of(self, tenant: str, customer_id: str) -> Iterable[str]:
        """The ids of the orders whose document names the customer.

        Raises:
            Busy: temporarily unavailable; retry.
        """
        ...

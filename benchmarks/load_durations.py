"""Durations of the stages of real orders, as the quantile tables that `ordertide load` draws from.

Run it: `python -m benchmarks.load_durations > loadgen/durations.py`.
"""

import csv
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from textwrap import fill

from examples.cargo2000 import adapter as cargo
from examples.olist import adapter as olist

# Close together at both ends, where a straight line between two of them would be wrong.
PER_MILLE = (0, 10, 20, *range(50, 951, 50), 980, 990, 995, 998, 999, 1000)

HEAD = '''"""Durations of the stages of real orders: empirical quantiles, in seconds.

Made by `python -m benchmarks.load_durations` from the samples in `examples/`; don't edit.

- PAYMENT, HANDOVER, DELIVERY, PROMISE and PURCHASES_BY_HOUR summarise 4,998 orders of the
  *Brazilian E-Commerce Public Dataset by Olist* (Olist and Andre Sionek, 2018), licence
  CC BY-NC-SA 4.0: name Olist, share alike, no commercial use. See examples/olist/README.md.
- RECEPTION, DEPARTURE, FLIGHT and HANDOUT summarise 7,932 transport legs of the *Cargo2000 DataSet*
  (Andreas Metzger and others), licence CC BY 4.0. See examples/cargo2000/README.md.
"""
'''
OLIST = {
    "PAYMENT": ("order_purchase_timestamp", "order_approved_at", "bought to paid"),
    "HANDOVER": ("order_approved_at", "order_delivered_carrier_date", "paid to carrier"),
    "DELIVERY": ("order_delivered_carrier_date", "order_delivered_customer_date", "to customer"),
    "PROMISE": ("order_purchase_timestamp", "order_estimated_delivery_date", "bought to promised"),
}
CARGO = {
    "RECEPTION": ("RCS", "until the airline has the freight"),
    "DEPARTURE": ("DEP", "until the flight departs"),
    "FLIGHT": ("RCF", "until the freight is received from the flight"),
    "HANDOUT": ("DLV", "until the freight is handed over"),
}


def main() -> None:
    print(HEAD, end="")
    values("PER_MILLE", "what share of the sample is not above each quantile", PER_MILLE)
    orders = read_orders()
    for name, (first, last, meaning) in OLIST.items():
        table(name, meaning, [taken for order in orders if (taken := seconds(order, first, last))])
    for name, (step, meaning) in CARGO.items():
        table(name, f"air freight, {meaning}", activities(step))
    hours = Counter(moment(order["order_purchase_timestamp"]).hour for order in orders)
    values("PURCHASES_BY_HOUR", "bought in each hour, local time", [hours[h] for h in range(24)])


def read_orders() -> list[dict[str, str]]:
    with olist.SAMPLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(olist.local_time(text))


def seconds(order: dict[str, str], first: str, last: str) -> int:
    """Between two columns; 0 where one is empty or they lie the wrong way round."""
    if not order[first] or not order[last]:
        return 0
    return max(int((moment(order[last]) - moment(order[first])).total_seconds()), 0)


def activities(step: str) -> list[int]:
    """Of every leg and every flight."""
    found = []
    with cargo.open_text(cargo.SAMPLE) as file:
        for row in csv.DictReader(file):
            taken = {name: int(value) for name, value in row.items()}
            legs = [cargo.read_leg(name, taken) for name in (*cargo.INBOUND, cargo.OUTBOUND)]
            found += [
                int(activity.effective.total_seconds())
                for leg in legs
                for activity in leg.activities
                if f"_{step}" in f"_{activity.status}".upper()
            ]
    return found


def table(name: str, meaning: str, sample: list[int]) -> None:
    """The quantiles of a sample: the smallest value that so many are not above."""
    found = sorted(sample)
    last = len(found) - 1
    values(name, f"{meaning}; {len(found):,}", [found[last * point // 1000] for point in PER_MILLE])


def values(name: str, meaning: str, listed: Iterable[int]) -> None:
    """A tuple as the formatter writes it."""
    text = ", ".join(f"{value:_}" if value >= 100_000 else str(value) for value in listed)
    lines = fill(text, 92, initial_indent="    ", subsequent_indent="    ")
    print(f"\n# {meaning[0].upper()}{meaning[1:]}.\n{name} = (\n{lines},\n)  # fmt: skip")


if __name__ == "__main__":
    main()

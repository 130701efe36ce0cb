"""Names of parcels: which entries speak of which parcel (docs/semantics.md, "Parcels").

An entry names a parcel by a shipment, a waybill or both. Which parcel that is follows from all
entries that count: a shipment that was once named together with a waybill is that waybill's parcel.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from schemas.numbers import as_number, as_waybill

Fields = dict[str, Any]
ANNOUNCING = ("waybill", "return_waybill")


class Named(NamedTuple):
    """An entry of the walk, as far as names go: as written, and its fields."""

    entry: int
    shipment: str
    waybill: str
    fields: Fields


def announced(fields: Fields) -> list[str]:
    """The parcels that an entry announces, as written."""
    references = fields.get("references", {})
    return [name for kind in ANNOUNCING for name in references.get(kind, ())]


def successors(named: Named) -> set[str]:
    """The parcels that an entry names or announces, in the normal form."""
    own = {as_waybill(named.waybill)} if named.waybill else set()
    return own | {as_waybill(name) for name in announced(named.fields)}


class Names:
    """What the entries of a walk say of parcels' names."""

    def __init__(self, walk: Iterable[Named]) -> None:
        """Read the names of all entries of `walk`, in its order."""
        self.joins: dict[str, list[Named]] = defaultdict(list)
        self.replaced: dict[str, Named] = {}
        self.places: dict[int, int] = {}
        self.waybills: set[str] = set()
        self.returns: set[str] = set()
        replacing: list[Named] = []
        for place, named in enumerate(walk):
            self.places[named.entry] = place
            self.read(named)
            if named.fields and named.fields.get("replaces"):
                replacing.append(named)
        for named in replacing:
            self.replaced |= dict.fromkeys(self.replaced_by(named), named)

    def read(self, named: Named) -> None:
        """Take in one entry, the next of the walk."""
        if named.waybill:
            self.waybills.add(as_waybill(named.waybill))
            if named.shipment:
                self.joins[as_number(named.shipment)].append(named)
        if not named.fields:
            return
        self.waybills.update(as_waybill(name) for name in announced(named.fields))
        returning = named.fields.get("references", {}).get("return_waybill", ())
        self.returns.update(as_waybill(name) for name in returning)

    def replaced_by(self, named: Named) -> set[str]:
        """The parcels that the `replaces` of an entry may mean, by either name; not its own."""
        replaces = named.fields["replaces"]
        joins = self.joins.get(as_number(replaces), [])
        joined = {as_waybill(join.waybill) for join in joins}
        return {as_waybill(replaces), as_number(replaces), *joined} - {""} - successors(named)

    def parcel(self, shipment: str, waybill: str) -> str:
        """The normal form of the parcel that an entry names so; "" for the unnamed one."""
        if waybill:
            return as_waybill(waybill)
        name = as_number(shipment)
        if not name:
            return ""
        if name in self.joins:
            return self.joined(self.joins[name])
        short = as_waybill(name)
        return short if short in self.waybills else name

    def joined(self, joins: list[Named]) -> str:
        """The waybill of a shipment: the last one joined with it that another didn't replace."""
        waybills = {as_waybill(join.waybill) for join in joins}
        lasting = [join for join in joins if not self.is_replaced_by(join, waybills)]
        return as_waybill((lasting or joins)[-1].waybill)

    def is_replaced_by(self, join: Named, waybills: set[str]) -> bool:
        """Whether one of `waybills` replaces the one of `join`."""
        waybill = as_waybill(join.waybill)
        by = self.replaced.get(waybill)
        return by is not None and bool(successors(by) & waybills - {waybill})

    def is_replaced_before(self, name: str, entry: int) -> bool:
        """Whether a parcel that becomes known with `entry` had been replaced by then."""
        by = self.replaced.get(name)
        return by is not None and self.places[by.entry] <= self.places[entry]


def numbers_named(named: Iterable[Named]) -> set[tuple[str, str]]:
    """(kind, normal form) of all numbers that entries name; a return's waybill is a waybill."""
    found: set[tuple[str, str]] = set()
    for one in named:
        if one.waybill:
            found.add(("waybill", as_waybill(one.waybill)))
        for kind, numbers in one.fields.get("references", {}).items():
            is_waybill = kind in ANNOUNCING
            normal: Callable[[str], str] = as_waybill if is_waybill else as_number
            found |= {("waybill" if is_waybill else kind, normal(number)) for number in numbers}
    return found

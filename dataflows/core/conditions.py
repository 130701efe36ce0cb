"""Conditions of rules, in CEL (https://cel.dev), evaluated by `cel-expr-python`.

A condition sees `order` (the declared attributes, and tenant, order_id, status, carrier,
customer_id, supplier_id) and `reading` (declared readings of the parcel: min, max, last). What it
names is checked when it is compiled; what its evaluation raises makes it false for that order.
"""

from typing import Any, NamedTuple

from cel_expr_python import cel

from dataflows.core.carrier_names import CarrierNames
from dataflows.core.cel_wording import compile_fault, evaluation_fault, kind_of
from dataflows.core.expressions import Comparison, Path, calls_of, comparisons_of, paths_of
from schemas.errors import SettingsError
from schemas.type_faults import maybe_meant

ORDER_FIELDS = frozenset({"tenant", "order_id", "status", "carrier", "customer_id", "supplier_id"})
READING_FIELDS = frozenset({"min", "max", "last"})
FIELDS = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
ENVIRONMENT = cel.NewEnv(variables={"order": FIELDS, "reading": FIELDS})
# Functions of one text, which with a constant text give a value always or never.
OF_TEXT = {
    "matches": '"".matches(order.text)',
    "duration": 'duration(order.text) == duration("0s")',
    "timestamp": "timestamp(order.text) == timestamp(0)",
    "int": "int(order.text) == 0",
    "uint": "uint(order.text) == 0u",
    "double": "double(order.text) == 0.0",
    "bool": "bool(order.text)",
}
NO_CARRIERS = CarrierNames({})
CARRIER = Path("order", ("carrier",))
MISSING = "NOT_FOUND"  # a key that the map lacks
WORDS_AT_MOST = 200


class Verdict(NamedTuple):
    """Verdict of a condition; `fault` says why it could not be evaluated, empty if it was."""

    is_true: bool
    fault: str = ""


class Condition:
    """A compiled condition.

    `reads_fields` tells that it reads fields of the order, not its attributes alone; `of_nothing`
    is its verdict on an order without attributes and readings, where it reads these alone.
    """

    def __init__(
        self,
        text: str,
        attributes: dict[str, bool],
        *,
        of: str,
        carriers: CarrierNames = NO_CARRIERS,
    ) -> None:
        """Create the program of `text`; `attributes`: declared names, True of readings.

        Raises:
            SettingsError: no CEL, not a yes-or-no expression, an undeclared name, or a constant
                that can't be evaluated, such as a pattern that is none.
        """
        self.text = " ".join(text.split())
        self.carriers = carriers
        try:
            self.program = ENVIRONMENT.compile(text)
        except RuntimeError as error:
            message = f"{of}: {compile_fault(text, str(error))}"
            raise SettingsError(message) from error
        if str(self.program.return_type()) not in {"BOOL", "DYN"}:
            kind = kind_of(str(self.program.return_type()))
            message = f"{of}: it gives {kind}, not true or false; compare it with something"
            raise SettingsError(message)
        serialized = self.program.serialize()
        self.paths = sorted(set(paths_of(serialized)))
        faults = [fault for path in self.paths if (fault := fault_of(path, attributes))]
        faults += [fault for call in calls_of(serialized) if (fault := fault_of_call(*call))]
        compared = dict.fromkeys(comparisons_of(serialized))
        faults += [fault for each in compared if (fault := fault_of_carrier(each, carriers))]
        if faults:
            raise SettingsError("; ".join(f"{of}: {fault}" for fault in faults))
        self.reads_fields = any(
            path.variable == "order" and (not path.names or path.names[0] in ORDER_FIELDS)
            for path in self.paths
        )
        self.of_nothing = Verdict(False) if self.reads_fields else self.verdict({}, {})

    def names_of(self, variable: str) -> list[str] | None:
        """The names that it reads of a variable; None where it may read any."""
        names = [path.names for path in self.paths if path.variable == variable]
        return sorted({each[0] for each in names}) if all(names) else None

    def of_order(
        self, fields: dict[str, str], attributes: dict[str, Any], readings: dict[str, Any]
    ) -> Verdict:
        """Evaluate the condition on what an order has, its carrier by any of its names."""
        if "carrier" in fields:
            fields["carrier"] = self.carriers.code(fields["carrier"])
        return self.verdict(fields | attributes, readings)

    def verdict(self, order: dict[str, Any], reading: dict[str, Any]) -> Verdict:
        """Evaluate the condition; whatever goes wrong makes it false, and is named.

        An attribute that the order lacks makes it false and is no fault.
        """
        try:
            found = self.program.eval(data={"order": order, "reading": reading})
            value = found.value()
        except Exception as error:  # noqa: BLE001 - the library's errors have no type of their own
            return Verdict(False, shortened(evaluation_fault(str(error))))
        if isinstance(value, bool):
            return Verdict(value)
        kind = str(found.type())
        if kind == "ERROR":
            reason = str(value)
            fault = "" if reason.startswith(MISSING) else shortened(evaluation_fault(reason))
            return Verdict(False, fault)
        fault = f"it gives {kind_of(kind)}, not true or false"
        return Verdict(False, "" if value is None else fault)

    def missing_key(self, order: dict[str, Any], reading: dict[str, Any]) -> str | None:
        """The key that a map lacks, which makes the condition false; None where it isn't that."""
        try:
            reason = str(self.program.eval(data={"order": order, "reading": reading}).value())
        except Exception:  # noqa: BLE001 - the library's errors have no type of their own
            return None
        return reason.rpartition(" : ")[2].strip('"') if reason.startswith(MISSING) else None


def fault_of(path: Path, attributes: dict[str, bool]) -> str | None:
    """Why a path never leads to a value; None if it may."""
    if not path.names or path.variable not in {"order", "reading"}:
        return None  # an enumeration or a type of CEL's own
    variable, name, *rest = path.variable, *path.names
    written = f"{variable}.{'.'.join(path.names)}"
    is_reading = variable == "reading"
    if attributes.get(name) is not is_reading and (is_reading or name not in ORDER_FIELDS):
        if attributes.get(name) is (not is_reading):
            other = "order" if is_reading else "reading"
            return (
                f"{written} is never there; {name} is declared otherwise, so write {other}.{name}"
            )
        known = sorted(name for name, reading in attributes.items() if reading is is_reading)
        close = maybe_meant(name, known)
        listed = close or f"; known: {', '.join(known) or 'none'}"
        return f"{variable}.{name} is not declared under [attributes]{listed}"
    if is_reading and rest and (len(rest) > 1 or rest[0] not in READING_FIELDS):
        return f"{written} is never there; a reading has min, max and last"
    if rest and not is_reading:
        return f"{written} is never there; order.{name} is a plain value"
    return None


def fault_of_carrier(compared: Comparison, carriers: CarrierNames) -> str | None:
    """Why a comparison with a carrier is never true: conditions see its code."""
    code = carriers.code(compared.text)
    if compared.path != CARRIER or code == compared.text:
        return None
    return f"order.carrier is never {compared.text!r}, another name of {code!r}; write that"


def fault_of_call(function: str, text: str) -> str | None:
    """Why a function of a constant text never gives a value; None if it does."""
    if function not in OF_TEXT:
        return None
    found = ENVIRONMENT.compile(OF_TEXT[function]).eval(data={"order": {"text": text}})
    if str(found.type()) != "ERROR":
        return None
    return shortened(f"{function}({text!r}): {evaluation_fault(str(found.value()))}")


def shortened(reason: str) -> str:
    """A reason as one line of bounded length."""
    line = " ".join(reason.split())
    return line if len(line) <= WORDS_AT_MOST else f"{line[:WORDS_AT_MOST]}…"

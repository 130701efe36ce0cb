"""Conditions of rules, in CEL (https://cel.dev), evaluated by `cel-expr-python`.

A condition sees `order` (the declared attributes, and tenant, order_id, status, carrier,
customer_id, supplier_id) and `reading` (declared readings of the parcel: min, max, last).
"""

import re
from typing import Any

from cel_expr_python import cel

from schemas.errors import SettingsError

ORDER_FIELDS = frozenset({"tenant", "order_id", "status", "carrier", "customer_id", "supplier_id"})
NAMES = re.compile(r"\b(order|reading)\.([A-Za-z_][A-Za-z0-9_]*)")
FIELDS = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
ENVIRONMENT = cel.NewEnv(variables={"order": FIELDS, "reading": FIELDS})


class Condition:
    """A compiled condition. `reads_fields`: it names a field of the order, not attributes alone."""

    def __init__(self, text: str, attributes: dict[str, bool], *, of: str) -> None:
        """Compile `text`; `attributes` maps the declared names to whether they are readings.

        Raises:
            SettingsError: no CEL, not a yes-or-no expression, or an undeclared name.
        """
        self.text = " ".join(text.split())
        try:
            self.program = ENVIRONMENT.compile(text)
        except RuntimeError as error:
            message = f"{of}: {' '.join(str(error).split())}"
            raise SettingsError(message) from error
        if str(self.program.return_type()) not in {"BOOL", "DYN"}:
            message = f"{of}: gives {self.program.return_type()}, not true or false"
            raise SettingsError(message)
        names = set(NAMES.findall(text))
        for kind, name in sorted(names):
            declared = attributes.get(name) is (kind == "reading")
            if not declared and not (kind == "order" and name in ORDER_FIELDS):
                known = sorted(
                    n for n, reading in attributes.items() if reading is (kind == "reading")
                )
                message = f"{of}: {kind}.{name} is not declared under [attributes]; known: {known}"
                raise SettingsError(message)
        self.reads_fields = any(kind == "order" and name in ORDER_FIELDS for kind, name in names)
        self.of_nothing = not self.reads_fields and self.holds({}, {})

    def holds(self, order: dict[str, Any], reading: dict[str, Any]) -> bool:
        """Whether the condition is true; a value of the wrong type makes it false."""
        return self.program.eval(data={"order": order, "reading": reading}).value() is True

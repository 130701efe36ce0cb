"""Bound on labels that messages bring: after so many values the label is `other`."""

MAX_GROUPS = 50
MAX_VALUES = 50  # of a group, so that a noisy one hides no other
OTHER = "other"


class BoundedLabels:
    """Pairs (group, value) for two labels of a metric, such as a carrier and its code."""

    def __init__(self, max_groups: int = MAX_GROUPS, max_values: int = MAX_VALUES) -> None:
        """Create one that has seen no pair."""
        self.max_groups = max_groups
        self.max_values = max_values
        self.values: dict[str, set[str]] = {}

    def of(self, group: str, value: str) -> tuple[str, str]:
        """The pair itself; `other` in the place of what came after the bound was reached."""
        values = self.values.get(group)
        if values is None:
            if len(self.values) >= self.max_groups:
                return OTHER, OTHER
            values = self.values[group] = set()
        if value not in values and len(values) >= self.max_values:
            return group, OTHER
        values.add(value)
        return group, value

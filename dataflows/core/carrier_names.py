"""Names of carriers: one code for a carrier that senders call by several names.

Names are compared in Unicode NFKC, lower case, without white space; they are shown as they came.
"""

from collections import Counter
from collections.abc import Mapping
from unicodedata import normalize

Aliases = Mapping[str, list[str]]


class CarrierNames:
    """The codes of carriers by all their names."""

    def __init__(self, aliases: Aliases) -> None:
        """Create the index of `aliases`: the other names of each code."""
        self.codes = {plain(name): code for code, names in aliases.items() for name in names}
        self.codes |= {plain(code): code for code in aliases}

    def code(self, name: str) -> str:
        """The code of a carrier by any of its names; a name of none is left as it is."""
        return self.codes.get(plain(name), name) if self.codes else name

    def compared(self, name: str) -> str:
        """Compared form of a carrier's name: its code, else the name in the plain form."""
        form = plain(name)
        return self.codes.get(form, form)


def plain(name: str) -> str:
    """A name in NFKC, lower case, without white space."""
    return "".join(normalize("NFKC", name).casefold().split())


def carrier_faults(aliases: Aliases) -> list[str]:
    """Faults of the carriers of a lifecycle file."""
    forms = {code: {plain(name) for name in (code, *names)} for code, names in aliases.items()}
    counts = Counter(form for names in forms.values() for form in names)
    faults = [
        f"carriers: {name!r} is a name of {', '.join(sorted(c for c in forms if name in forms[c]))}"
        for name, count in sorted(counts.items())
        if count > 1
    ]
    blank = sorted(code for code, names in forms.items() if "" in names)
    return [*faults, *(f"carriers: {code!r} has a blank name" for code in blank)]

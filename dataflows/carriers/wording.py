"""Tables of carriers: the words, codes and names by which a scan's status is recognised.

Each file of the folder `tables` is one carrier's; docs/carriers.md describes the format. Texts are
searched in the tables of all carriers, so that a parcel that changes hands, or whose carrier was
named wrongly, reads the same under every name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple
from unicodedata import normalize

import msgspec

# The statuses in the order in which a text is searched for their phrases. A phrase for what
# did not happen, or how, comes before one for it having happened; many scans mention a departure.
PRECEDENCE = (
    "RETURNED",
    "RETURN_TO_SENDER",
    "LOST",
    "DAMAGED",
    "DELIVERY_FAILED",
    "READY_FOR_PICKUP",
    "DELIVERED",
    "OUT_FOR_DELIVERY",
    "LABEL_CREATED",
    "COLLECTED",
    "CUSTOMS_CLEARED",
    "CUSTOMS_HOLD",
    "SCAN",
    "IN_TRANSIT",
)

# `*` in a phrase stands for up to so many characters.
MAX_GAP = 40

# Characters of the phrases in traditional script, as SF writes in Hong Kong and Taiwan.
SIMPLIFIED = str.maketrans(
    "簽遞達發攬轉運櫃驛絕敗關離開裝車絡聯異準備時領際處請損壞遺業點鋪無將員個貨訂單務經進區",
    "签递达发揽转运柜驿绝败关离开装车络联异准备时领际处请损坏遗业点铺无将员个货订单务经进区",
)
SPACE = re.compile(r"\s+")
CUT = "\n"  # what no phrase matches


class Phrase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wording, where it was seen, and other wordings beside which it means nothing."""

    text: str
    source: str
    unless: list[str] = []


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The status of a code, and the carrier's own text for it."""

    status: str
    source: str
    text: str = ""


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code that events name a carrier by, and the other names of it."""

    code: str
    name: dict[str, str]
    aliases: list[str]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of one file."""

    sources: dict[str, str]
    carrier: Identity | None = None
    codes: dict[str, Code] = {}
    phrases: dict[str, list[Phrase]] = {}
    ignored: list[str] = []


class Pattern(NamedTuple):
    """A phrase made ready for the search."""

    status: str
    found: re.Pattern[str]
    unless: tuple[re.Pattern[str], ...]

    def matches(self, text: str) -> bool:
        """Return True if a plain text holds the phrase, and none that cancels its meaning."""
        return bool(self.found.search(text)) and not any(no.search(text) for no in self.unless)


class Wording:
    """The phrases of all tables, and of the settings, which go first."""

    def __init__(self, extra: Mapping[str, str] | None = None) -> None:
        """Create a search with the phrases of `extra` (phrase to status) before those shipped."""
        self.own = [Pattern(status, compiled(text), ()) for text, status in (extra or {}).items()]
        self.patterns = shipped_patterns()
        self.ignored = shipped_ignored()

    def status_of(self, text: str) -> str | None:
        """The status that a text names; None where no phrase occurs in it."""
        text = plain(text)
        for pattern in self.own:
            if pattern.matches(text):
                return pattern.status
        text = self.ignored.sub(CUT, text)
        return next((one.status for one in self.patterns if one.matches(text)), None)


@cache
def tables() -> dict[str, Table]:
    """The shipped tables by the names of their files, sorted."""
    found = sorted(
        (entry for entry in (files(__package__) / "tables").iterdir() if is_table(entry.name)),
        key=lambda entry: entry.name,
    )
    return {
        entry.name.removesuffix(".toml"): msgspec.toml.decode(entry.read_bytes(), type=Table)
        for entry in found
    }


def is_table(name: str) -> bool:
    """Return True if a file of the folder is a table."""
    return name.endswith(".toml")


def statuses_of(table: str) -> dict[str, str]:
    """The statuses by code of a table."""
    return {code: row.status for code, row in tables()[table].codes.items()}


def texts_of(table: str) -> dict[str, str]:
    """The statuses by the carrier's own text of its codes, in the plain form."""
    codes = tables()[table].codes.values()
    return {plain(row.text): row.status for row in codes if row.text}


@cache
def canonical_names() -> dict[str, str]:
    """The code of a carrier by each of its names, in the plain form."""
    return {
        plain(name): table.carrier.code
        for table in tables().values()
        if table.carrier
        for name in (table.carrier.code, *table.carrier.aliases)
    }


def canonical_carrier(name: str) -> str:
    """The one code of a carrier that has several names; a name of none is left as it is."""
    return canonical_names().get(plain(name), name)


@cache
def shipped_patterns() -> tuple[Pattern, ...]:
    """The phrases of all tables in the order of `PRECEDENCE`, each once."""
    return tuple(
        Pattern(status, compiled(phrase.text), tuple(map(compiled, phrase.unless)))
        for status, phrase in by_precedence(tables().values())
    )


def by_precedence(all_tables: Iterable[Table]) -> Iterator[tuple[str, Phrase]]:
    """(status, phrase) of tables, in the order of the search; what several tables hold, once."""
    seen: set[tuple[str, str, tuple[str, ...]]] = set()
    for status in PRECEDENCE:
        for table in all_tables:
            for phrase in table.phrases.get(status, ()):
                key = (status, phrase.text, tuple(phrase.unless))
                if key not in seen:
                    seen.add(key)
                    yield status, phrase


@cache
def shipped_ignored() -> re.Pattern[str]:
    """Passages that are cut out before the search."""
    passages = [pattern_of(text) for table in tables().values() for text in table.ignored]
    return re.compile("|".join(sorted(passages, key=len, reverse=True)))


def compiled(phrase: str) -> re.Pattern[str]:
    """The pattern of a phrase over plain text."""
    return re.compile(pattern_of(phrase))


def pattern_of(phrase: str) -> str:
    """A phrase as a regular expression; `*` matches up to `MAX_GAP` characters."""
    parts = [re.escape(plain(part)) for part in phrase.split("*")]
    return f".{{0,{MAX_GAP}}}?".join(parts)


def plain(text: str) -> str:
    """The form in which texts are compared: NFKC, lower case, simplified, without white space."""
    return SPACE.sub("", normalize("NFKC", text).casefold().translate(SIMPLIFIED))


def text_of(value: Any) -> str:  # noqa: ANN401 - a field as a carrier sent it
    """A field of a payload as text: numbers as they are written, anything else empty."""
    if isinstance(value, str):
        return value.strip()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else ""

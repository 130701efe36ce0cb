"""The register of a key store in memory: keys, links and tombstones by the digest of a subject."""

import secrets
from collections.abc import Iterable

from privacy.key_lines import Erased, Line, Link, Record
from privacy.keystore import KeyErased

KEY_BYTES = 64  # AES-256-SIV takes two keys of 32 bytes
KEY_ID_BYTES = 16
RECENT_LINKS = 65_536


class Register:
    """All records of a key store. A tombstone wins over a key, whichever comes first."""

    def __init__(self) -> None:
        """Create an empty register."""
        self.by_subject: dict[str, Line] = {}
        self.by_id: dict[str, Line] = {}
        self.erased: dict[str, Erased] = {}
        self.erased_ids: set[str] = set()
        self.below: dict[str, dict[str, Link]] = {}
        self.has_uncertain = False  # a key of an order or a number: its customer may come later
        # Links whose lower end has no key so far: most never get one.
        self.recent: dict[str, dict[str, None]] = {}

    @property
    def is_linking(self) -> bool:
        """Return True if a link could matter."""
        return bool(self.erased or self.has_uncertain)

    def add(self, records: Iterable[Record]) -> None:
        """Take in records in the order in which they were written."""
        for record in records:
            match record:
                case Line() if record.customer not in self.erased:
                    self.by_subject[record.customer] = self.by_id[record.key] = record
                    self.has_uncertain |= not record.of_customer
                case Link():
                    self.below.setdefault(record.above, {})[record.below] = record
                case Erased():
                    self.erased[record.erased] = record
                    self.erased_ids.add(record.key)
                    if line := self.by_subject.pop(record.erased, None):
                        del self.by_id[line.key]

    def find(self, subject: str) -> Line | None:
        """The key of a subject; None if it has none.

        Raises:
            KeyErased: the subject has been erased.
        """
        if erased := self.erased.get(subject):
            raise KeyErased(erased.key)
        return self.by_subject.get(subject)

    def tombstones(self, subjects: Iterable[str]) -> tuple[list[Erased], list[str]]:
        """(tombstones, ids of their keys) of subjects and all below them, as far as not erased."""
        new = [subject for subject in self.tree(subjects) if subject not in self.erased]
        lines = [(subject, self.by_subject.get(subject)) for subject in new]
        tombstones = [
            Erased(subject, line.key if line else new_key_id()) for subject, line in lines
        ]
        return tombstones, [line.key for _, line in lines if line]

    def holders(self, keys: Iterable[str]) -> list[str]:
        """The subjects of the keys with these ids."""
        return [self.by_id[key].customer for key in keys if key in self.by_id]

    def records(self) -> list[Record]:
        """All that is to be kept; links that end at an erased subject have done their work."""
        links = [link for links in self.below.values() for link in links.values()]
        kept = [link for link in links if link.above not in self.erased]
        return [*self.by_id.values(), *kept, *self.erased.values()]

    def is_relevant(self, subject: str) -> bool:
        """Return True if a subject has a key, or something below it has one."""
        return subject in self.by_subject or subject in self.below

    def is_linked(self, below: str, above: str) -> bool:
        """Return True if the link is kept."""
        return below in self.below.get(above, ())

    def remember(self, below: str, above: str) -> None:
        """Remember a link for the case that `below` gets a key."""
        self.recent.setdefault(below, {})[above] = None
        if len(self.recent) > RECENT_LINKS:
            del self.recent[next(iter(self.recent))]

    def remembered(self, subject: str) -> list[tuple[str, str]]:
        """The remembered links (below, above) that a subject makes relevant, upwards; forgets them.

        In this order each link ends where the one after it begins.
        """
        links: list[tuple[str, str]] = []
        for above in self.recent.pop(subject, ()):
            if not self.is_linked(subject, above):
                links += [(subject, above), *self.remembered(above)]
        return links

    def tree(self, subjects: Iterable[str]) -> list[str]:
        """The subjects and all that is linked below them."""
        found: dict[str, None] = {}
        remembered: dict[str, list[str]] = {}
        for below, above in self.recent.items():
            for one in above:
                remembered.setdefault(one, []).append(below)
        ahead = list(subjects)
        while ahead:
            subject = ahead.pop()
            if subject not in found:
                found[subject] = None
                ahead += self.below.get(subject, ())
                ahead += remembered.get(subject, ())
        return list(found)


def new_key_id() -> str:
    """An id that no key has."""
    return secrets.token_hex(KEY_ID_BYTES)


def new_secret() -> bytes:
    """The secret of a new key."""
    return secrets.token_bytes(KEY_BYTES)

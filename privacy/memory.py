"""The key store in memory, for tests and for what is sealed for the length of a process."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import RLock

from privacy.key_lines import Line, Link
from privacy.keystore import Key, is_customer
from privacy.register import Register, new_key_id, new_secret


class MemoryKeyStore:
    """A KeyStore that lasts as long as its process: what it sealed is unreadable afterwards."""

    def __init__(self) -> None:
        """Create an empty store."""
        self.lock = RLock()
        self.register = Register()

    @property
    def is_linking(self) -> bool:
        return self.register.is_linking

    def key_for(self, tenant: str, subject: str) -> Key:
        name, register = name_of(tenant, subject), self.register
        with self.lock:
            line = register.find(name)
            if line is None:
                line = Line(new_key_id(), name, new_secret(), is_customer(subject))
                register.add([line, *(Link(*link) for link in register.remembered(name))])
            return Key(line.key, line.wrapped)

    def find(self, key_id: str) -> Key | None:
        with self.lock:
            line = self.register.by_id.get(key_id)
            return Key(line.key, line.wrapped) if line else None

    def is_erased(self, key_id: str) -> bool:
        with self.lock:
            return key_id in self.register.erased_ids

    def link(self, tenant: str, below: str, above: str, *, below_tenant: str | None = None) -> None:
        lower = name_of(tenant if below_tenant is None else below_tenant, below)
        upper, register = name_of(tenant, above), self.register
        with self.lock:
            if upper in register.erased:
                self._erase([lower])
            elif register.is_relevant(lower):
                register.add([Link(lower, upper)])
                register.add(Link(*link) for link in register.remembered(upper))
            else:
                register.remember(lower, upper)

    def erase(self, tenant: str, *subjects: str, keys: Iterable[str] = ()) -> list[str]:
        with self.lock:
            names = [name_of(tenant, subject) for subject in subjects]
            return self._erase([*names, *self.register.holders(keys)])

    @contextmanager
    def batch(self) -> Iterator[None]:
        yield

    def _erase(self, names: list[str]) -> list[str]:
        tombstones, erased = self.register.tombstones(names)
        self.register.add(tombstones)
        return erased


def name_of(tenant: str, subject: str) -> str:
    """A text that no two subjects share."""
    return f"{len(tenant)}:{tenant}{subject}"

"""Fragments: parts and cards of the board as HTML, each with a mark of its bytes.

A page that is open names the marks that it has, and gets the rest: of a part that it has nothing,
of a card a stub that keeps the card's place. So what is sent follows from what the page shows, not
from what changed since when: a change that was missed, a card that moved or left, an age that is a
minute older and an alert acknowledged elsewhere all need no case of their own.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import blake2b
from typing import NamedTuple, Self

from markupsafe import Markup

from gateway.board.cards import CardView, FoldView
from gateway.board.site import Frame, environment
from gateway.board.wording import text_of
from schemas.alert_text import Language

MARK_BYTES = 6
MOST_CARDS_KEPT = 4_096  # about 1 kB each


class Fragment(NamedTuple):
    """A card as HTML. `key` and `version` tell whether it is another card, or a later one."""

    key: str
    version: str
    mark: str
    html: Markup

    @classmethod
    def of(cls, key: str, version: str, html: str) -> Self:
        """A card that a template made."""
        return cls(key, version, mark_of(f"{key} {version}", html), Markup(html))  # noqa: S704 - a template made it


class Fragments(NamedTuple):
    """Fragments for a page that has those with the marks `had`."""

    frame: Frame
    had: frozenset[str] = frozenset()

    def mark(self, name: str, html: str) -> str:
        """The mark of a part with this content; `name` is its id."""
        return mark_of(name, html)

    def has(self, mark: str) -> bool:
        """Return True for a fragment that the page has."""
        return mark in self.had

    def card(self, item: CardView | FoldView) -> Fragment:
        """A card or a fold."""
        language, is_wall = self.frame.words.language, self.frame.is_wall
        if isinstance(item, CardView):
            return card_fragment(item, language, bool(self.frame.me) and not is_wall)
        words = self.frame.words
        values = {"say": words.say, "number": words.number, "frame": self.frame}
        html = environment().get_template("fold.html").render(fold=item, **values)
        return Fragment.of(item.key, item.version, html)


@lru_cache(MOST_CARDS_KEPT)
def card_fragment(card: CardView, language: Language, has_buttons: bool) -> Fragment:  # noqa: FBT001 - a key of the cache
    """A card, made once for all who see it alike."""
    say: Callable[..., str] = partial(text_of, language)
    template = environment().get_template("card.html")
    html = template.render(card=card, say=say, has_buttons=has_buttons)
    version = f"{card.version}-{card.handling.mark}"
    return Fragment.of(card.key, version, html)


def mark_of(name: str, html: str) -> str:
    """The mark of a fragment."""
    return blake2b(f"{name}\n{html}".encode(), digest_size=MARK_BYTES).hexdigest()

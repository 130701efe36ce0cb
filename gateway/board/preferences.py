"""Preferences of a browser: language, theme, and whether the board shows its examples.

Examples are the board's "try these", links to the telling orders of a demonstration. All of it is
kept in cookies by a link, so it works without a script.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.board.viewer import LANGUAGE_COOKIE, THEME_COOKIE, back_to
from gateway.board.wording import Words
from gateway.route import Call

SEE_OTHER = 303
KEPT_S = 365 * 24 * 3600
# What there are texts for, in the sequence in which they are offered.
EXAMPLES = ("late", "cold", "split", "returned", "silent", "share")
EXAMPLES_COOKIE = "ordertide_examples"
HIDDEN = "hidden"


class Preferences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Language and theme of this browser, its examples, and the page to go back to."""

    to: str = "/"
    lang: Literal["", "en", "zh"] = ""
    theme: Literal["", "light", "dark"] = ""
    examples: Literal["", "shown", "hidden"] = ""


class Examples(NamedTuple):
    """Links in words; `is_shown` is false once the viewer has hidden them."""

    links: list[tuple[str, str]]
    is_shown: bool


async def preferences(call: Call) -> Response:
    """Language, theme and whether examples are shown, kept in this browser."""
    asked = call.asked
    response = RedirectResponse(back_to(asked.to), SEE_OTHER)
    chosen = {
        LANGUAGE_COOKIE: asked.lang,
        THEME_COOKIE: asked.theme,
        EXAMPLES_COOKIE: asked.examples,
    }
    for name, value in chosen.items():
        if value:
            response.set_cookie(name, value, max_age=KEPT_S, samesite="lax")
    return response


def examples_of(named: Mapping[str, str], words: Words, request: Request) -> Examples:
    """The examples of the settings, as the viewer of a request sees them."""
    return Examples(
        links=[(words.say(f"example.{name}"), named[name]) for name in EXAMPLES if name in named],
        is_shown=request.cookies.get(EXAMPLES_COOKIE) != HIDDEN,
    )

"""A page of the board in Chromium, and what the tests of pages share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.browser.conftest import Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

LATE = "demo-00138"
# The best-practice rules of axe are no part of WCAG; the others are.
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
LONG_MS = 15_000


@contextmanager
def opened(
    site: Site,
    browser: Browser,
    width: int = 1440,
    complaints: Sequence[str] = (),
    **options: Any,  # noqa: ANN401 - Playwright's own
) -> Iterator[Page]:
    """A page of an administrator's; what the console complains of fails the test.

    `complaints` are parts of what it may complain of.
    """
    cookies = {"ordertide_session": site.cookie, **options.pop("cookies", {})}
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    context.add_cookies([{"name": n, "value": v, "url": site.address} for n, v in cookies.items()])
    page = context.new_page()
    came: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            came.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: came.append(str(error)))
    try:
        yield page
    finally:
        context.close()  # else the server waits for its stream
    assert [text for text in came if not any(each in text for each in complaints)] == []

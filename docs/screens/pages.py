"""Pictures of the pages for the docs, of a demo that runs: `make screenshots`.

Needs the extra `screenshots` and Debian's chromium. A picture has at most 200 kB.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, cast

import click
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from commands.demo.telling import LATE
from commands.key import address_of
from commands.wiring.gateway import access_of
from docs.screens.webhooks import shown_webhooks
from gateway.access.folder import open_folder
from gateway.access.keys import ADMIN_ID
from gateway.access.shares import Share, Shares
from schemas.errors import SettingsError
from schemas.keys import DEFAULT_TENANT
from schemas.settings.model import ServeSettings, read_settings

FOLDER = Path(__file__).parent
LARGEST_BYTES = 200_000
SETTLE_MS = 500
COLOURS = 256
CELL = 4
FAR_S = 1 << 40


class Shot(NamedTuple):
    """A picture to be taken; `order` and `link` in its path are put in."""

    name: str
    path: str
    width: int
    height: int
    theme: str = "light"
    language: str = "en"


SHOTS = (
    Shot("order", "/orders/{order}", 1440, 900),
    Shot("order-dark-zh", "/orders/{order}", 1440, 900, "dark", "zh"),
    Shot("customer", "{link}", 360, 740),
    Shot("board", "/", 1440, 900),
    Shot("board-dark", "/", 1440, 900, "dark"),
    Shot("board-zh", "/", 1440, 900, "light", "zh"),
    Shot("board-phone", "/", 360, 740),
    Shot("alerts", "/alerts?sort=newest", 1440, 900),
    Shot("operations", "/operations", 1440, 900),
    Shot("operations-dark-zh", "/operations", 1440, 900, "dark", "zh"),
)
WEBHOOK_SHOTS = (
    Shot("webhooks", "/settings/webhooks", 1440, 900),
    Shot("webhooks-dark-zh", "/settings/webhooks", 1440, 900, "dark", "zh"),
    Shot("deliveries", "{webhook}", 1440, 900),
    Shot("deliveries-dark", "{webhook}", 1440, 900, "dark"),
)


@click.command()
@click.option(
    "--settings",
    "path",
    type=click.Path(path_type=Path, exists=True),
    default=Path(".ordertide/demo/settings.toml"),
    show_default=True,
    help="of the installation, by default a demo that runs",
)
def main(path: Path) -> None:
    """Write the pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SettingsError("chromium: it isn't installed; apt-get install chromium")
    own = read_settings(path).serve
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        share = Share(DEFAULT_TENANT, LATE, "town", FAR_S)
        link = f"/t/{Shares(open_folder(Path(own.folder)).secret).sealed(share)}"
        with opened(browser, own, Shot("", "/operations", 1440, 900)):
            pass  # a rate needs two looks
        for shot in SHOTS:
            take(browser, own, shot._replace(path=shot.path.format(order=LATE, link=link)))
        with shown_webhooks(own) as webhook:
            for shot in WEBHOOK_SHOTS:
                take(browser, own, shot._replace(path=shot.path.format(webhook=webhook)))
        browser.close()


def usual_colours(image: Image.Image) -> Image.Image:
    """The palette of an image's most frequent colours, unchanged.

    Pillow looks a colour up by the corner of its cell: what would be taken for a more frequent one
    there is left out.
    """
    counted = cast("list[tuple[int, tuple[int, ...]]]", image.getcolors(1 << 24))
    usual: list[tuple[int, ...]] = []
    for _, colour in sorted(counted, reverse=True):
        if all(apart(corner(each), each) < apart(corner(each), colour) for each in usual):
            usual.append(colour)
        if len(usual) == COLOURS:
            break
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in usual for part in colour])
    return palette


def corner(colour: tuple[int, ...]) -> tuple[int, ...]:
    """The corner of a colour's cell."""
    return tuple(part - part % CELL for part in colour)


def apart(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """The square of the distance of two colours."""
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def take(browser: Browser, own: ServeSettings, shot: Shot) -> None:
    """Take one picture."""
    target = FOLDER / f"{shot.name}.png"
    with opened(browser, own, shot) as page:
        taken = page.screenshot()
    # Flat colours: a palette has them all, in a third of the bytes.
    image = Image.open(BytesIO(taken)).convert("RGB")
    image.quantize(palette=usual_colours(image), dither=Image.Dither.NONE).save(
        target, optimize=True
    )
    size_bytes = target.stat().st_size
    if size_bytes > LARGEST_BYTES:
        raise SettingsError(f"{target}: it has {size_bytes} bytes, over {LARGEST_BYTES}")
    click.echo(f"{target}")


@contextmanager
def opened(browser: Browser, own: ServeSettings, shot: Shot) -> Iterator[Page]:
    """A page of the administrator's."""
    access = access_of(own, open_folder(Path(own.folder)))
    address = address_of(own, own.port)
    size = {"width": shot.width, "height": shot.height}
    context = browser.new_context(viewport=size, reduced_motion="reduce")  # type: ignore[arg-type, unused-ignore]  # a dict is taken
    cookies = {
        "ordertide_session": access.sessions.session(ADMIN_ID, access.now_s()),
        "ordertide_theme": shot.theme,
        "ordertide_language": shot.language,
    }
    context.add_cookies([{"name": n, "value": v, "url": address} for n, v in cookies.items()])
    page = context.new_page()
    page.goto(address + shot.path)
    page.wait_for_timeout(SETTLE_MS)
    yield page
    context.close()


if __name__ == "__main__":
    main()

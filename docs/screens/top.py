"""Picture of `ordertide top` for the docs, of an installation that runs: `make screenshots`.

Needs the extra `screenshots` and the library libcairo2.
"""

import asyncio
from pathlib import Path

import cairosvg
import click

from commands.top.app import Top
from commands.top.monitor import Monitor
from commands.wiring.broker import connection_of
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.wording import alert_text
from schemas.settings.model import Settings, read_settings

FOLDER = Path(__file__).parent
SIZE = (100, 30)
SETTLE_S = 15.0  # for a speed and a trend
FONT = ("Fira Code", "DejaVu Sans Mono")  # Textual's, which is fetched, and one that is installed
WIDTH_PX = 1_000


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
    """Write top.png."""
    asyncio.run(take(read_settings(path)))


async def take(settings: Settings) -> None:
    """Show the screen, and keep it."""
    table = lifecycle_of(settings)
    text = alert_text(rules_of(settings, table), table, settings.delivery.language)
    with Monitor(settings, connection_of(settings.broker)) as monitor:
        app = Top(monitor, settings, table, text)
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause(SETTLE_S)
            write("top.png", app.export_screenshot())


def write(name: str, svg: str) -> None:
    """Write a screen as PNG."""
    image = svg.replace(*FONT).encode()
    cairosvg.svg2png(bytestring=image, write_to=str(FOLDER / name), output_width=WIDTH_PX)
    click.echo(f"{FOLDER / name}")


if __name__ == "__main__":
    main()

"""Site: templates, texts and static files of the board, and the frame that all pages share."""

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.board.wording import Words
from schemas.display import printable

STATIC = Path(__file__).with_name("static")
LEAFLET = ("leaflet.css", "leaflet.js")
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Asset(NamedTuple):
    """A static file; its address holds the hash of its bytes, so it may be kept for ever."""

    name: str
    address: str
    kind: str
    data: bytes


class Frame(NamedTuple):
    """Everything around a page.

    `rail`: (name, address) of the pages that the viewer may open. `behind`: the live pill, in
    words; `now` is the stream's clock in ms and `ticks` is true where it runs with ours. `stream`
    is the address of the live stream, "" where there is none. `me` is the viewer's name as an
    operator, "" for one that may set nothing on alerts.
    """

    words: Words
    page: str
    title: str
    path: str
    rail: tuple[tuple[str, str], ...] = ()
    theme: str = ""
    tenant: str = ""
    name: str = ""
    behind: str = ""
    now: int = 0
    ticks: bool = False
    stream: str = ""
    csrf: str = ""
    me: str = ""
    is_wall: bool = False


@cache
def assets() -> Mapping[str, Asset]:
    """The static files by their address: our own, and Leaflet from its package."""
    found = {}
    leaflet = Path(str(files("xstatic.pkg.leaflet"))) / "data"
    for path in (*sorted(STATIC.iterdir()), *(leaflet / name for name in LEAFLET)):
        data = path.read_bytes()
        digest = blake2b(data, digest_size=6).hexdigest()
        address = f"/static/{path.stem}.{digest}{path.suffix}"
        found[address] = Asset(path.name, address, KINDS[path.suffix], data)
    return found


@cache
def addresses() -> Mapping[str, str]:
    """The address of each static file by its name."""
    return {asset.name: asset.address for asset in assets().values()}


@cache
def environment() -> Environment:
    """The templates. Everything put into them is escaped, for HTML and for what isn't visible."""
    environment = Environment(
        loader=PackageLoader("gateway.board"),
        auto_reload=False,  # asking for the files' times took 0.7 ms a page
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    environment.filters["lines"] = lambda text: Markup("<br>").join(text.split("\n"))
    environment.globals["static"] = lambda name: addresses()[name]
    return environment


def shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template puts out
    """A value as a page shows it: text from outside without what steers or hides."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def render(name: str, frame: Frame, **values: object) -> str:
    """A page, or with the name of a fragment a part of one."""
    words = frame.words
    return (
        environment()
        .get_template(name)
        .render(
            frame=frame, words=words, say=words.say, number=words.number, zone=words.zone, **values
        )
    )

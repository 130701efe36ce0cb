"""Kinds of settings: the meaning of a setting's text beyond its type, and its check.

A settings struct annotates with these names: `keep: Duration = "72h"`. The check runs whenever
settings are read; editors get a pattern from `ordertide config schema`.
"""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from schemas.errors import SettingsError
from schemas.instants import parse_duration

LAST_PORT = 65535

Duration = Annotated[
    str,
    Meta(extra={"kind": "duration"}, extra_json_schema={"pattern": r"^(\d{1,9}(ms|s|m|h|d))+$"}),
]
Url = Annotated[str, Meta(extra={"kind": "url"}, extra_json_schema={"format": "uri"})]
Link = Annotated[str, Meta(extra={"kind": "link"})]
Addresses = Annotated[str, Meta(extra={"kind": "addresses"})]
Folder = Annotated[str, Meta(extra={"kind": "folder"}, min_length=1)]
File = Annotated[str, Meta(extra={"kind": "file"}, min_length=1)]
Name = Annotated[str, Meta(extra={"kind": "name"}, min_length=1)]
Names = Annotated[str, Meta(extra={"kind": "names"}, min_length=1)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Workers = Annotated[int, Meta(ge=1, le=16)]
NotNegative = Annotated[int, Meta(ge=0)]
Port = Annotated[int, Meta(ge=0, le=LAST_PORT)]
Tiles = Annotated[str, Meta(extra={"kind": "tiles"})]
Zoom = Annotated[int, Meta(ge=1, le=24)]

ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:,\[\]]+):(\d{1,5})")
NAME = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)

TILE_PROVIDERS = ("amap", "google", "osm")
TILE_PLACES = ("{z}", "{x}", "{y}")
KEY_PLACE = "{key}"
# What goes into the content policy of a page: no quote, no semicolon, no wildcard.
TILE_HOST = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(?=/)", re.ASCII)
KEY_IN_ADDRESS = re.compile(r"(?i)[?&][\w-]*(key|ak|tk|token|sig)=(?!\{key\}(&|$))")


def fault_of(kind: str | None, text: str) -> str | None:
    """Return the problem of `text` as a setting of `kind`; None for a valid one."""
    check = CHECKS.get(kind or "")
    return check(text) if check else None


def fault_of_duration(text: str) -> str | None:
    """None for `72h`, `90s`, `1d12h`."""
    try:
        parse_duration(text)
    except SettingsError as error:
        return str(error).removeprefix("duration: ")
    return None


def fault_of_url(text: str) -> str | None:
    """None for `scheme://host:port/path`, also without a host where there is a path."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError as error:
        return f"{text!r} is no URL: {error}"
    if not parts.scheme or "://" not in text or not (parts.hostname or parts.path):
        return f"{text!r} is no URL; write it like http://host:9200"
    return None


def fault_of_link(text: str) -> str | None:
    """None for the URL of an order, with places for its tenant and id, and for none at all."""
    filled = text.replace("{tenant}", "default").replace("{order_id}", "4711")
    if unknown := re.search(r"[{}].*?(?:\}|$)", filled):
        return f"{unknown[0]} is no place; a link may name {{tenant}} and {{order_id}}"
    is_url = fault_of_url(filled) is None and urlsplit(filled).scheme in {"http", "https"}
    if is_url or not text:
        return None
    return f"{text!r} is no URL; write it like https://orders.example.com/orders/{{order_id}}"


def fault_of_addresses(text: str) -> str | None:
    """None for `host:port`, or several with commas."""
    for address in text.split(","):
        found = ADDRESS.fullmatch(address.strip())
        if not found or int(found[2]) > LAST_PORT:
            return f"{address.strip()!r} is no host:port; write it like kafka-1:9092,kafka-2:9092"
    return None


def fault_of_names(text: str) -> str | None:
    """None for `hot`, or several with commas, each once."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if fault := fault_of_name(name):
            return fault
    if len({*names}) < len(names):
        return f"{text!r} names one twice; take it out"
    return None


def fault_of_name(text: str) -> str | None:
    """None for a plug-in's name, like `hot`."""
    if not NAME.fullmatch(text):
        return f"{text!r} is no name; write letters, digits, - and _, like hot"
    return None


def fault_of_tiles(text: str) -> str | None:
    """None for a provider, for an address with places for a tile, and for none at all."""
    if not text or text in TILE_PROVIDERS:
        return None
    if KEY_IN_ADDRESS.search(text):
        return "the address holds a key; write {key} in its place, and set map.api_key"
    known = (*TILE_PLACES, KEY_PLACE)
    places = re.findall(r"\{.*?\}|[{}]", text)
    if unknown := [place for place in places if place not in known]:
        return f"{unknown[0]} is no place; an address may name {', '.join(known)}"
    host = TILE_HOST.match(text)
    if not host or re.search(r"[\s\"'<>\\;]", text) or fault_of_url(host[0] + "/"):
        named = ", ".join(TILE_PROVIDERS)
        return (
            f"{text!r} is neither one of {named} nor an address; "
            "write it like https://tiles.example.com/{z}/{x}/{y}.png"
        )
    if missing := [place for place in TILE_PLACES if place not in text]:
        return f"the address lacks {missing[0]}; it needs {', '.join(TILE_PLACES)}"
    return None


CHECKS: dict[str, Callable[[str], str | None]] = {
    "duration": fault_of_duration,
    "url": fault_of_url,
    "link": fault_of_link,
    "addresses": fault_of_addresses,
    "name": fault_of_name,
    "names": fault_of_names,
    "tiles": fault_of_tiles,
}

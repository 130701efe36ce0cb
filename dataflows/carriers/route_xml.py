"""The XML of SF's RoutePushService: `Request/Body/WaybillRoute`, fields as attributes or elements.

Read by expat without a document type: entities that expand without end, or name files, need one.
"""

from xml.parsers import expat

import msgspec

from schemas.errors import Rejected

NODE = "WaybillRoute"


class RouteParser:
    """Collects the fields of every `WaybillRoute`."""

    def __init__(self) -> None:
        """Create a parser for one document."""
        self.nodes: list[dict[str, str]] = []
        self.open: dict[str, str] | None = None
        self.field = ""
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self.refuse_doctype
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text

    def refuse_doctype(self, *_: object) -> None:
        """Refuse a document type.

        Raises:
            Rejected: `invalid_event`.
        """
        raise Rejected("invalid_event", "the XML has a document type, which SF never sends")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == NODE:
            self.open = dict(attributes)
            self.nodes.append(self.open)
        elif self.open is not None:
            self.field = name

    def end(self, name: str) -> None:
        """An element ends."""
        self.field = ""
        if name == NODE:
            self.open = None

    def text(self, data: str) -> None:
        """Text inside an element."""
        if self.open is not None and self.field:
            self.open[self.field] = self.open.get(self.field, "") + data


def route_nodes(document: bytes) -> list[bytes]:
    """The fields of every node, as JSON.

    Raises:
        Rejected: `invalid_event`: no XML, or none of RoutePushService.
    """
    routes = RouteParser()
    try:
        routes.parser.Parse(document, True)
    except expat.ExpatError as error:
        raise Rejected("invalid_event", f"the XML of the push is malformed: {error}") from error
    if not routes.nodes:
        raise Rejected("invalid_event", f"the XML of the push has no {NODE}")
    return [msgspec.json.encode(node) for node in routes.nodes]

"""The dashboard, and the file with everything that it needs."""

from collections.abc import Iterator, Sequence

import msgspec

from deploy.kibana.maps import parcel_map
from deploy.kibana.pictures import Board, DataView, Map, Picture
from deploy.kibana.saved_objects import Json, data_view, reference, saved, text
from deploy.kibana.visualizations import visualization

GRID_COLUMNS = 48


def ndjson(views: Sequence[DataView], board: Board) -> bytes:
    """The file to import: an object a line, the same bytes for the same board."""
    objects = [*map(data_view, views), *map(panel_object, board.panels), dashboard(board)]
    return b"".join(msgspec.json.encode(each) + b"\n" for each in objects)


def panel_object(panel: Picture | Map) -> Json:
    """A picture or a map, by itself."""
    return parcel_map(panel) if isinstance(panel, Map) else visualization(panel)


def dashboard(board: Board) -> Json:
    """The dashboard, with a reference to each of its panels."""
    kinds = {panel.id: panel_object(panel)["type"] for panel in board.panels}
    panels = [
        {
            "type": kinds[panel.id],
            "gridData": {**cell, "i": panel.id},
            "panelIndex": panel.id,
            "embeddableConfig": {"enhancements": {}},
            "panelRefName": f"panel_{panel.id}",
        }
        for panel, cell in zip(board.panels, cells(board), strict=True)
    ]
    options = {"useMargins": True, "syncColors": True, "syncCursor": True, "hidePanelTitles": False}
    source = {"query": {"query": "", "language": "lucene"}, "filter": []}
    attributes = {
        "title": board.title,
        "description": board.meaning,
        "panelsJSON": text(panels),
        "optionsJSON": text(options),
        "timeRestore": True,
        "timeFrom": board.since,
        "timeTo": "now",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": text(source)},
    }
    references = [
        reference(f"{panel_id}:panel_{panel_id}", kind, panel_id)
        for panel_id, kind in kinds.items()
    ]
    return saved("dashboard", "8.9.0", board.id, attributes, references)


def cells(board: Board) -> Iterator[Json]:
    """Positions of the panels: side by side, a new row where the next one has no room."""
    x = y = height = 0
    for panel in board.panels:
        if x + panel.columns > GRID_COLUMNS:
            x, y, height = 0, y + height, 0
        yield {"x": x, "y": y, "w": panel.columns, "h": panel.rows}
        x, height = x + panel.columns, max(height, panel.rows)

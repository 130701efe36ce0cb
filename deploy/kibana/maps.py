"""Maps: a base map, a heat map, and points."""

from deploy.kibana.pictures import Map
from deploy.kibana.saved_objects import Json, reference, saved, text

BASE_MAP = {
    "id": "base-map",
    "type": "EMS_VECTOR_TILE",
    "sourceDescriptor": {"type": "EMS_TMS", "isAutoSelect": True},
    "style": {"type": "EMS_VECTOR_TILE", "color": ""},
    "visible": True,
    "alpha": 1,
    "minZoom": 0,
    "maxZoom": 24,
}


def parcel_map(drawn: Map) -> Json:
    """A map of three layers: the base map, a heat map, and the newest points."""
    layers = [BASE_MAP, heat_layer(drawn), point_layer(drawn)]
    attributes = {
        "title": drawn.title,
        "description": drawn.meaning,
        "layerListJSON": text(layers),
        "mapStateJSON": text({"zoom": 1.5, "center": {"lon": 20, "lat": 25}}),
        "uiStateJSON": text({"isLayerTOCOpen": True, "openTOCDetails": []}),
    }
    names = (layer_reference(1), layer_reference(2))
    references = [reference(name, "index-pattern", drawn.view.id) for name in names]
    return saved("map", "8.4.0", drawn.id, attributes, references)


def heat_layer(drawn: Map) -> Json:
    """Density of the points: counted in tiles by Elasticsearch."""
    source = {
        **layer_source("heat", "ES_GEO_GRID", drawn, 1),
        "requestType": "heatmap",
        "resolution": "COARSE",
        "metrics": [{"type": "count"}],
    }
    style = {"type": "HEATMAP", "colorRampName": "theclassic"}
    return layer("heat", "HEATMAP", "how many", source, style)


def point_layer(drawn: Map) -> Json:
    """Each point of the newest documents, as many as an index gives at once."""
    source = {
        **layer_source("points", "ES_SEARCH", drawn, 2),
        "scalingType": "LIMIT",
        "filterByMapBounds": True,
        "sortField": drawn.newest_by,
        "sortOrder": "desc",
        "tooltipProperties": drawn.tooltip,
    }
    first, *others = drawn.colours.items()
    palette: list[Json] = [{"stop": None, "color": first[1]}]  # of what no other stop names
    palette += [{"stop": value, "color": colour} for value, colour in others]
    colour = {
        "field": {"name": drawn.colour_by, "origin": "source"},
        "type": "CATEGORICAL",
        "useCustomColorPalette": True,
        "customColorPalette": palette,
    }
    style = {
        "type": "VECTOR",
        "properties": {
            "fillColor": {"type": "DYNAMIC", "options": colour},
            "lineWidth": {"type": "STATIC", "options": {"size": 0}},
            "iconSize": {"type": "STATIC", "options": {"size": 5}},
        },
        "isTimeAware": True,
    }
    return layer("points", "GEOJSON_VECTOR", drawn.title.lower(), source, style)


def layer_source(name: str, kind: str, drawn: Map, number: int) -> Json:
    """Source of a layer's data; it follows the dashboard's query and time range."""
    return {
        "id": f"{name}-source",
        "type": kind,
        "geoField": drawn.point,
        "indexPatternRefName": layer_reference(number),
        "applyGlobalQuery": True,
        "applyGlobalTime": True,
        "applyForceRefresh": True,
    }


def layer(name: str, kind: str, label: str, source: Json, style: Json) -> Json:
    """One layer of a map."""
    seen = {"visible": True, "alpha": 0.75, "minZoom": 0, "maxZoom": 24}
    named = {"id": name, "type": kind, "label": label, "joins": []}
    return {**named, **seen, "sourceDescriptor": source, "style": style}


def layer_reference(number: int) -> str:
    """The name by which a layer refers to its data view."""
    return f"layer_{number}_source_index_pattern"

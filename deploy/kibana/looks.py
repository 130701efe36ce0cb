"""Appearance of each kind of picture: the `params` of Kibana's aggregation-based visualizations."""

from typing import Any

Json = dict[str, Any]

PALETTE = {"type": "palette", "name": "default"}


def axes(kind: str, categories: str, values: str) -> Json:
    """Stacked bars; `categories` and `values` are the sides of the axes."""
    return {
        "type": kind,
        "grid": {"categoryLines": False},
        "categoryAxes": [
            {
                "id": "CategoryAxis-1",
                "type": "category",
                "position": categories,
                "show": True,
                "scale": {"type": "linear"},
                "labels": {"show": True, "filter": True, "truncate": 100},
                "title": {},
                "style": {},
            }
        ],
        "valueAxes": [
            {
                "id": "ValueAxis-1",
                "name": "LeftAxis-1",
                "type": "value",
                "position": values,
                "show": True,
                "scale": {"type": "linear", "mode": "normal"},
                "labels": {"show": True, "rotate": 0, "filter": True, "truncate": 100},
                "title": {"text": "orders" if kind == "horizontal_bar" else "Count"},
                "style": {},
            }
        ],
        "seriesParams": [
            {
                "show": True,
                "type": "histogram",
                "mode": "stacked",
                "data": {"label": "Count", "id": "1"},
                "valueAxis": "ValueAxis-1",
                "drawLinesBetweenPoints": True,
                "lineWidth": 2,
                "showCircles": True,
            }
        ],
        "addTooltip": True,
        "detailedTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "truncateLegend": True,
        "maxLegendLines": 1,
        "times": [],
        "addTimeMarker": False,
        "labels": {"show": False},
        "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full"},
        "palette": PALETTE,
        "isVislibVis": True,
    }


LOOKS: dict[str, Json] = {
    "pie": {
        "type": "pie",
        "addTooltip": True,
        "legendDisplay": "show",
        "legendPosition": "right",
        "nestedLegend": False,
        "truncateLegend": True,
        "maxLegendLines": 1,
        "distinctColors": False,
        "isDonut": True,
        "emptySizeRatio": 0.3,
        "palette": PALETTE,
        "labels": {
            "show": True,
            "last_level": True,
            "values": True,
            "valuesFormat": "value",
            "percentDecimals": 0,
            "truncate": 100,
            "position": "default",
        },
    },
    "table": {
        "perPage": 10,
        "showPartialRows": False,
        "showMetricsAtAllLevels": False,
        "showTotal": False,
        "totalFunc": "sum",
        "percentageCol": "",
        "showToolbar": True,
        "autoFitRowToContent": False,
    },
    "histogram": axes("histogram", "bottom", "left"),
    "horizontal_bar": axes("horizontal_bar", "left", "bottom"),
}

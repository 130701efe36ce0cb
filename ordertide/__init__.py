"""The names that plug-ins may import, and nothing else: what is here stays."""

from dataflows.carriers.carrier import CALLBACK_TOKEN, Acknowledgement, Carrier, CarrierConfig
from dataflows.carriers.datum import to_wgs84
from dataflows.carriers.reading import checked, decode, form_field, parse_zone, rfc3339, scan_id
from schemas.errors import Busy, OrdertideError, Rejected, SettingsError
from schemas.event import Event, Location, decode_event

__all__ = [
    "CALLBACK_TOKEN",
    "Acknowledgement",
    "Busy",
    "Carrier",
    "CarrierConfig",
    "Event",
    "Location",
    "OrdertideError",
    "Rejected",
    "SettingsError",
    "checked",
    "decode",
    "decode_event",
    "form_field",
    "parse_zone",
    "rfc3339",
    "scan_id",
    "to_wgs84",
]

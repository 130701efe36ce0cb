"""Places of the demo: towns of Brazil, the hubs of its carriers, and routes over them."""

from math import cos, hypot, radians
from typing import Any, NamedTuple


class Town(NamedTuple):
    """A town; degrees, WGS 84."""

    name: str
    region: str
    lat: float
    lon: float

    def location(self) -> dict[str, Any]:
        """The town as the location of a scan."""
        return {"name": self.name, "lat": self.lat, "lon": self.lon}

    def destination(self) -> dict[str, Any]:
        """The town as the destination of an order."""
        return {
            "town": self.name,
            "region": self.region,
            "country": "BR",
            "lat": self.lat,
            "lon": self.lon,
        }

    def distance_to(self, other: "Town") -> float:
        """Distance in degrees, near enough for choosing a hub."""
        narrowing = cos(radians((self.lat + other.lat) / 2))
        return hypot(self.lat - other.lat, (self.lon - other.lon) * narrowing)


TOWNS = (
    Town("São Paulo", "SP", -23.55, -46.63),
    Town("Campinas", "SP", -22.91, -47.06),
    Town("Ribeirão Preto", "SP", -21.18, -47.81),
    Town("Rio de Janeiro", "RJ", -22.91, -43.20),
    Town("Niterói", "RJ", -22.88, -43.10),
    Town("Belo Horizonte", "MG", -19.92, -43.94),
    Town("Uberlândia", "MG", -18.92, -48.28),
    Town("Vitória", "ES", -20.32, -40.34),
    Town("Curitiba", "PR", -25.43, -49.27),
    Town("Londrina", "PR", -23.31, -51.16),
    Town("Florianópolis", "SC", -27.60, -48.55),
    Town("Porto Alegre", "RS", -30.03, -51.23),
    Town("Caxias do Sul", "RS", -29.17, -51.18),
    Town("Salvador", "BA", -12.97, -38.50),
    Town("Recife", "PE", -8.05, -34.88),
    Town("Fortaleza", "CE", -3.73, -38.52),
    Town("São Luís", "MA", -2.53, -44.30),
    Town("Belém", "PA", -1.46, -48.50),
    Town("Manaus", "AM", -3.12, -60.02),
    Town("Brasília", "DF", -15.79, -47.88),
    Town("Goiânia", "GO", -16.68, -49.25),
    Town("Cuiabá", "MT", -15.60, -56.10),
)
BY_NAME = {town.name: town for town in TOWNS}
HUBS = tuple(
    BY_NAME[name]
    for name in ("São Paulo", "Curitiba", "Brasília", "Belo Horizonte", "Salvador", "Recife")
)


def route(start: Town, end: Town) -> list[Town]:
    """Hubs between two towns, each once: the one near the start, the one near the end."""
    near_start = min(HUBS, key=start.distance_to)
    near_end = min(HUBS, key=end.distance_to)
    return list(dict.fromkeys((near_start, near_end)))

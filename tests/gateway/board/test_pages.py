"""The pages over the demo's orders: each role sees its own, and nothing steers a browser."""

import gzip
import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from gateway.access.caller import ROLES, STAFF, Role
from gateway.application import application
from gateway.board.site import LEAFLET, STATIC, assets
from gateway.route import Route
from gateway.routes import ROUTES
from schemas.order import OrderDocument
from tests.support.asgi import Client, Reply
from tests.support.gateway import Door
from tests.support.sample_orders import sample

LATE, ON_TWO_WAYS = "demo-00186", "demo-00138"
LARGEST_HTML = LARGEST_ASSETS = 60_000
MOST_SCRIPT_LINES = 900
BOARD_PAGES = [route for route in ROUTES if (route.method, route.part) == ("GET", "board")]


class Checked(HTMLParser):
    """Collects ids, and what a content policy refuses: inline scripts, styles and handlers."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "style" or (tag == "script" and not named.get("src")):
            self.refused.append(tag)
        self.refused += [name for name in named if name == "style" or name.startswith("on")]
        addresses = (named.get(name) or "" for name in ("href", "src", "action"))
        self.refused += [url for url in addresses if re.match(r"(?i)\s*javascript:|//", url)]
        self.ids += [named["id"] or ""] if "id" in named else []


def page(reply: Reply, status: int = 200) -> str:
    assert reply.status == status, reply.body
    html = reply.body.decode()
    checked = Checked(html)
    assert checked.refused == []
    assert len(checked.ids) == len(set(checked.ids)), "an id is used twice"
    return html


def in_language(site: Door, language: str, role: Role = "admin", party: str = "") -> Client:
    client = site.client(role, None if role == "admin" else "default", party)
    client.headers["cookie"] = f"ordertide_language={language}"
    return client


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?lane=warning&rule=carrier_silent",
        "/?wall=1",
        "/?carrier=nobody",
        f"/orders/{LATE}",
        f"/orders/{LATE}?rules=1",
        f"/orders/{ON_TWO_WAYS}",
        f"/orders/{LATE}/share",
        "/orders",
        "/orders?q=nothing-like-it",
        "/sign-in",
        "/alerts",
        "/alerts?tab=all&severity=overdue&sort=oldest",
        "/alerts?tab=mine",
        "/operations",
    ],
)
def test_a_page_is_whole_in_both_languages(site: Door, path: str, language: str) -> None:
    html = page(in_language(site, language).get(path))
    assert f'lang="{"zh-Hans" if language == "zh" else "en"}"' in html
    assert "{n}" not in re.sub(r' data-[\w-]+="[^"]*"', "", html), "a text without its value"


def test_every_order_of_the_sample_has_its_page(site: Door) -> None:
    client = in_language(site, "en")
    for order in [*sample().orders.values()][::9]:
        html = page(client.get(f"/orders/{order.order_id}"))
        assert html.count('<div class="why ') == max(len(order.open_alerts), 1)


@pytest.mark.parametrize("role", sorted(ROLES - STAFF))
def test_a_party_sees_its_own_orders_and_only_suppliers_see_rules(site: Door, role: Role) -> None:
    fields = {"customer": "customer_id", "supplier": "supplier_id", "carrier": "carrier"}
    late = sample().orders[LATE]
    party = getattr(late, fields[role])
    client = site.client(role, "default", party)
    assert client.get("/").headers["location"] == "/orders"
    html = page(client.get(f"/orders/{LATE}"))
    for told in ("late_shipping", "Late shipping"):
        assert (told in html) == (role == "supplier")
    assert 'class="raw"' not in html
    rows = page(client.get("/orders?status=ALLOCATED"))
    assert LATE in rows
    other = next(
        order.order_id
        for order in sample().orders.values()
        if getattr(order, fields[role]) not in {party, None}
        and all(parcel.carrier != party for parcel in order.shipments)
    )
    assert other not in rows
    page(client.get(f"/orders/{other}"), status=404)


def test_what_is_not_there_and_what_is_not_ours_looks_the_same(site: Door) -> None:
    client = site.client("supplier", "default", "casa-verde")
    other = next(o for o in sample().orders.values() if o.supplier_id == "mar-azul").order_id
    hidden = page(client.get(f"/orders/{other}"), status=404).replace(other, "X")
    missing = page(client.get("/orders/no-such-order"), status=404).replace("no-such-order", "X")
    request = re.compile(r"Request [0-9a-f]+")
    assert request.sub("", hidden) == request.sub("", missing)


@pytest.mark.parametrize(
    "order_id",
    [
        "<script>alert(1)</script>",
        "../../etc/passwd",
        '" onmouseover="alert(1)',
        "'; DROP TABLE orders; --",
        "{{ 7 * 7 }}",
        "a%00b",
        "订单#1?x=y&z",
        "evil\u202egnp.exe",
    ],
)
def test_a_hostile_id_comes_back_as_text(site: Door, order_id: str) -> None:
    template = sample().orders[LATE]
    fields = {name: getattr(template, name) for name in OrderDocument.__struct_fields__}
    hostile = OrderDocument(**fields | {"order_id": order_id, "supplier_id": order_id})
    site.put(hostile)
    client = in_language(site, "en")
    found = page(client.get("/"))
    assert "\u202e" not in found
    assert "<script>alert" not in found
    links = re.findall(r'<a class="mono" href="(/orders/[^"]*)">([^<]*)', found)
    href = next(href for href, text in links if text not in sample().orders and "demo-" not in text)
    html = page(client.get(href.replace("&amp;", "&").replace("&#39;", "'")))
    assert "\u202e" not in html
    assert "<script>alert" not in html
    assert ">49<" not in html
    site.tier.orders.clear()
    site.put(*(order for order in sample().orders.values()))
    with site.gateway.follower.view() as view:
        view.remove(order_id)


def test_any_number_leads_to_its_order(site: Door) -> None:
    parcel = sample().orders[ON_TWO_WAYS].shipments[0].shipment
    client = in_language(site, "en")
    for number in (parcel, parcel[-6:], parcel[:9], ON_TWO_WAYS):
        answer = client.get(f"/find?q={number}")
        assert answer.headers["location"] == f"/orders/{ON_TWO_WAYS}"
    hits = page(client.get(f"/find?q={parcel[-6:]}&hits=1"))
    assert ON_TWO_WAYS in hits
    assert parcel in hits


def test_a_search_without_a_match_names_the_instant_up_to_which_orders_are_read(
    site: Door,
) -> None:
    assert site.gateway.follower.watermark is not None
    hits = page(in_language(site, "en").get("/find?q=00000000&hits=1"))
    assert re.search(r"No order matches, of those read up to \d+ \w{3} \d\d:\d\d\.", hits)


def test_a_board_without_an_order_claims_nothing_about_lateness(site: Door) -> None:
    html = page(site.client("operator", "empty").get("/"))
    assert html.count("No order has been read yet.") == 2
    assert "Nothing is overdue." not in html
    assert "–<small>" not in html, "a unit without its figure"


def test_a_page_without_a_session_leads_to_the_sign_in(site: Door) -> None:
    nobody = Client(site.app)
    for path in ("/", "/orders", f"/orders/{LATE}"):
        back = "" if path == "/" else f"?to={quote(path, safe='')}"
        assert nobody.get(path).headers["location"] == f"/sign-in{back}"
    assert "ordertide key link" in page(nobody.get("/sign-in"))
    assert "older than 10 minutes" in page(nobody.get("/sign-in?code=forged"), status=401)


def test_language_and_theme_are_kept_and_lead_back_to_our_own_pages(site: Door) -> None:
    nobody = Client(site.app)
    kept = nobody.get("/preferences?lang=zh&to=%2Forders%3Fq%3D1")
    assert kept.headers["location"] == "/orders?q=1"
    assert kept.headers["set-cookie"].startswith("ordertide_language=zh;")
    for outside in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        assert nobody.get(f"/preferences?to={outside}").headers["location"] == "/"


def test_pages_and_their_files_are_small(site: Door) -> None:
    for path in ("/", "/orders", "/alerts?tab=all", f"/orders/{ON_TWO_WAYS}"):
        body = in_language(site, "en").get(path).body
        assert len(gzip.compress(body)) < LARGEST_HTML
    own = [asset for asset in assets().values() if asset.name not in LEAFLET]
    assert sum(len(gzip.compress(asset.data)) for asset in own) < LARGEST_ASSETS
    scripts = [path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")]
    assert sum(len(script.splitlines()) for script in scripts) < MOST_SCRIPT_LINES


def test_a_static_file_is_kept_for_ever_under_an_address_of_its_bytes(site: Door) -> None:
    nobody = Client(site.app)
    for address, asset in assets().items():
        plain, packed = nobody.get(address), nobody.get(address, accept_encoding="gzip")
        assert plain.body == gzip.decompress(packed.body) == asset.data
        assert "immutable" in plain.headers["cache-control"]
    assert nobody.get("/static/board.css").status == 404


@pytest.mark.parametrize(
    "route",
    # The return from the issuer takes what issuers add: test_oidc.py has it.
    [route for route in BOARD_PAGES if route.asks != "query"],
    ids=lambda route: route.path,
)
def test_a_failure_of_a_page_is_a_page(site: Door, route: Route) -> None:
    path = route.path.replace("{", "").replace("}", "")
    answer = site.client("admin").get(f"{path}?no_such_parameter=1")
    assert answer.status == 400
    assert "no_such_parameter" in page(answer, status=400)


def test_examples_are_offered_until_their_viewer_hides_them(site: Door) -> None:
    assert "Try these" not in page(in_language(site, "en").get("/")), "only of a demonstration"
    examples = {"late": f"/orders/{LATE}", "silent": "/?lane=warning&rule=carrier_silent"}
    app = application(site.gateway._replace(examples=examples))
    visitor = Client(app, authorization=f"Bearer {site.key('admin')}")
    html = page(visitor.get("/"))
    assert f'<a href="/orders/{LATE}">Two days past its promise</a>' in html
    assert '"/?lane=warning&amp;rule=carrier_silent"' in html
    hiding = re.findall(r'href="(/preferences\?examples=hidden[^"]*)"', html)[0]
    hidden = visitor.get(hiding.replace("&amp;", "&"))
    assert hidden.headers["location"] == "/"
    visitor.headers["cookie"] = hidden.headers["set-cookie"].partition(";")[0]
    html = page(visitor.get("/"))
    assert "Two days past its promise" not in html
    assert "/preferences?examples=shown" in html, "they can be shown again"

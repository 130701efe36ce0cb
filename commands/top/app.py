"""The screen of `top`, with its keys: a Textual application over a monitor."""

from collections.abc import Callable
from threading import Lock
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input, Static

from commands.lookup import look_up
from commands.lookup_text import text_of
from commands.top.monitor import Monitor, Sample
from commands.top.picture import alert_cells, clock_text, counts_table, lags_table, lanes_text
from dataflows.core.lifecycle import Lifecycle
from gateway.live.view import Row
from schemas.alert_text import AlertText
from schemas.card import Card
from schemas.display import printable, printable_lines
from schemas.errors import OrdertideError
from schemas.settings.model import Settings

EVERY_S = 1.0
COLUMNS = ("since", "alert", "order", "status", "carrier")


class Alerts(DataTable[Text]):
    """The table of alerts, whose key the line of keys shows."""

    BINDINGS: ClassVar[list[BindingType]] = [("enter", "select_cursor", "open")]


class Top(App[None]):
    """The application: the list of alerts, above it the order that is open."""

    TITLE = "ordertide top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "quit"), ("ctrl+c", "quit", "")]

    def __init__(
        self, monitor: Monitor, settings: Settings, table: Lifecycle, wording: AlertText
    ) -> None:
        """Create the screen of an installation."""
        super().__init__()
        self.settings = settings
        self.lifecycle = table
        self.wording = wording
        self.live = LiveScreen(monitor, wording)

    def on_mount(self) -> None:
        """Begin with the list."""
        self.push_screen(self.live)

    def open(self, card: Card) -> None:
        """Open the order of a card."""
        self.push_screen(OrderScreen(card, self.settings, self.lifecycle, self.wording))


class LiveScreen(Screen[None]):
    """Lanes, alerts, counts and lags, once a second."""

    CSS = """
    #clock, #lanes, #note { height: 1; padding: 0 1; }
    #lanes { margin: 1 0; }
    #note { color: $warning; }
    #alerts { height: 1fr; scrollbar-size-horizontal: 0; }
    #detail { height: 2; padding: 0 1; }
    #counts { height: auto; max-height: 11; margin-top: 1; }
    #counts Static { width: auto; padding: 0 2 0 0; }
    #filter { display: none; height: 3; }
    #filter.is_open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("slash", "filter", "filter"),
        ("s", "sort", "sort"),
        ("space", "pause", "pause"),
        ("escape", "all", ""),
    ]

    def __init__(self, monitor: Monitor, wording: AlertText) -> None:
        """Create the list over a monitor."""
        super().__init__()
        self.monitor = monitor
        self.wording = wording
        self.querying = Lock()
        self.word = ""
        self.is_paused = False
        self.by_due = False
        self.rows: dict[str, Row] = {}
        # Kept, not queried: a last message may come when they are no longer on the screen.
        self.clock, self.lanes = Static(id="clock"), Static(id="lanes")
        self.alerts = Alerts(id="alerts", cursor_type="row", zebra_stripes=True)
        self.detail, self.note = Static(id="detail"), Static(id="note")
        self.statuses, self.carriers, self.lags = Static(), Static(), Static()
        self.filter = Input(
            id="filter", placeholder="a part of an order's id, status, carrier or rule"
        )

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        yield from (self.clock, self.lanes, self.alerts, self.detail, self.note)
        yield Horizontal(self.statuses, self.carriers, self.lags, id="counts")
        yield self.filter
        yield Footer()

    def on_mount(self) -> None:
        """Begin to show and to query."""
        self.alerts.add_columns(*COLUMNS)
        self.alerts.focus()
        self.set_interval(EVERY_S, self.show)
        self.set_interval(EVERY_S, self.query_lags)
        self.query_lags()
        self.show()

    @work(thread=True)
    def query_lags(self) -> None:
        """Query positions aside: a broker that is away answers late."""
        if self.querying.acquire(blocking=False):
            try:
                self.monitor.look()
            finally:
                self.querying.release()

    def show(self) -> None:
        """Show the present state, unless paused."""
        if self.is_paused:
            return
        try:
            sample = self.monitor.sample(self.is_meant, "overdue" if self.by_due else None)
        except OrdertideError as error:
            self.app.exit(return_code=2, message=printable(f"ordertide: {error}"))
            return
        self.draw(sample)

    def draw(self, sample: Sample) -> None:
        """Put a sample on the screen; a cursor that was moved stays on its alert."""
        self.clock.update(Text(clock_text(sample)))
        self.lanes.update(lanes_text(sample.lanes, sample.trend))
        self.note.update(Text(self.notes(sample)))
        self.statuses.update(counts_table("status", sample.statuses, "EMBRYO"))
        self.carriers.update(counts_table("carrier", sample.carriers, "none named"))
        self.lags.update(lags_table(sample.lags))
        at = self.key_at_cursor() if self.alerts.cursor_row else ""  # at the top it stays there
        self.rows = {row.alert.alert_id: row for row in sample.rows}
        self.alerts.clear()
        for row in sample.rows:
            self.alerts.add_row(*alert_cells(self.wording, row), key=row.alert.alert_id)
        if at in self.rows:
            self.alerts.move_cursor(row=self.alerts.get_row_index(at))
        self.draw_detail()

    def draw_detail(self) -> None:
        """Why the alert under the cursor is open."""
        row = self.rows.get(self.key_at_cursor())
        self.detail.update(
            Text("" if row is None else self.wording.description(row.card, row.alert))
        )

    def on_data_table_row_highlighted(self) -> None:
        """Follow the cursor."""
        self.draw_detail()

    def notes(self, sample: Sample) -> str:
        """Line of notes: what is wrong, and which alerts are shown."""
        notes = [printable(sample.note)] if sample.note else []
        if self.word:
            notes.append(f"only with {self.word!r} (Esc: all)")
        if self.by_due:
            notes.append("overdue orders, the longest first")
        return "   ".join(notes)

    def key_at_cursor(self) -> str:
        """Id of the alert under the cursor; "" without any."""
        alerts = self.alerts
        if not alerts.row_count:
            return ""
        return str(alerts.coordinate_to_cell_key(alerts.cursor_coordinate).row_key.value)

    @property
    def is_meant(self) -> Callable[[Card], bool] | None:
        """The filter; None where all are meant."""
        word = self.word.casefold()
        if not word:
            return None
        return lambda card: any(word in text.casefold() for text in texts_of(card))

    def action_filter(self) -> None:
        """Open the line for a word."""
        self.filter.add_class("is_open")
        self.filter.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the word."""
        self.word = event.value.strip()
        self.close_filter()

    def action_all(self) -> None:
        """Show all again."""
        self.word = self.filter.value = ""
        self.close_filter()

    def close_filter(self) -> None:
        """Close the line, and show what is meant now."""
        self.filter.remove_class("is_open")
        self.alerts.focus()
        self.show()

    def action_sort(self) -> None:
        """Newest alerts, or overdue orders by when they were due."""
        self.by_due = not self.by_due
        self.show()

    def action_pause(self) -> None:
        """Stand still, or go on."""
        self.is_paused = not self.is_paused
        if self.is_paused:
            self.note.update("PAUSED")
        self.show()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the order of the alert."""
        row = self.rows.get(str(event.row_key.value))
        if row is not None and isinstance(self.app, Top):
            self.app.open(row.card)


def texts_of(card: Card) -> list[str]:
    """Texts of a card that a filter looks into."""
    rules = [alert.rule for alert in card.alerts]
    return [card.order_id, card.status or "", card.carrier or "", card.supplier_id or "", *rules]


class OrderScreen(Screen[None]):
    """One order, as `lookup` shows it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q", "app.pop_screen", "back")]

    def __init__(
        self, card: Card, settings: Settings, table: Lifecycle, wording: AlertText
    ) -> None:
        """Create the page of a card's order."""
        super().__init__()
        self.card = card
        self.text = Static(f"looking up {printable(card.order_id)} …", markup=False)
        self.settings = settings
        self.lifecycle = table
        self.wording = wording

    def compose(self) -> ComposeResult:
        """The text, which scrolls."""
        with VerticalScroll():
            yield self.text
        yield Footer()

    def on_mount(self) -> None:
        """Look it up aside: a tier that is away answers late."""
        self.look_up()

    @work(thread=True)
    def look_up(self) -> None:
        """Ask the tiers."""
        card = self.card
        try:
            answer = look_up(self.settings, card.tenant, card.order_id)
            text = text_of(answer, self.wording, self.lifecycle)
        except OrdertideError as error:
            text = f"order {card.order_id}: {error}"
        if self.is_mounted:  # not left meanwhile
            self.app.call_from_thread(self.text.update, Text(printable_lines(text)))

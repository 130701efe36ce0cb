"""Messages to customers: their templates, their fields, and what a channel gets of a person."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert_text import Language
from schemas.errors import Busy, Rejected, SettingsError
from schemas.event import Destination
from schemas.instants import parse_instant
from schemas.keys import SEPARATOR
from sinks.actions.channels.memory import MemoryChannel
from sinks.actions.messages.fields import LANGUAGES, MEANINGS, Fields, day_text
from sinks.actions.messages.messages import Message, html_of
from sinks.actions.messages.samples import sample_fields
from sinks.actions.messages.template import MOST_MESSAGE_CHARACTERS, Template
from sinks.actions.messages.templates import names_in, read_templates, templates_of
from sinks.actions.recipient import NoRecipient, Recipient, recipient_in
from sinks.actions.table import ActionTable, KindRow, ReceiverRow
from tests.support.actions import BEGIN_AT, Acting, action
from tests.support.tiers.orders import document

SHIPPED = [
    *("confirmed", "delayed", "delivered", "failed", "out_for_delivery"),
    *("ready_for_pickup", "return_received", "shipped", "survey"),
]
FULL, BARE = sample_fields("en")
EMAIL = frozenset({"email"})
ADA = Recipient({"email": "ada@example.com"})


def template(body: str, subject: str = "Subject: Hello") -> Template:
    return Template(f"{subject}\n\n{body}\n", "t.en.txt")


def faults(body: str, subject: str = "Subject: Hello") -> list[str]:
    with pytest.raises(SettingsError) as refused:
        template(body, subject)
    return str(refused.value).splitlines()


# ---------------------------------------------------------------- templates
def test_the_shipped_templates_are_nine_in_two_languages() -> None:
    assert names_in(None) == SHIPPED
    for name in SHIPPED:
        assert [*templates_of(name)] == [*LANGUAGES]


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_shipped_template_names_order_and_link_and_leaves_no_gaps(
    name: str, language: Language
) -> None:
    for fields in sample_fields(language):
        text = templates_of(name)[language].render(fields)
        assert fields.order in text.subject
        assert fields.link in text.body
        assert "\n\n\n" not in text.body
        assert "{" not in text.subject + text.body
        assert (re.search("[一-鿿]", text.body) is not None) == (language == "zh")


def test_a_delay_names_the_passed_promise_and_a_new_one_only_if_there_is_one() -> None:
    told = templates_of("delayed")["en"]
    assert "by Mon 2 Mar. It is not" in told.render(FULL).body
    assert "expected by Wed 4 Mar 18:00 now" in told.render(FULL).body
    assert "expected" not in told.render(BARE).body


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("{{ ordr }}", "t.en.txt:3: ordr: no such field; did you mean order?"),
        ("one\ntwo {{ 7 * 7 }}", "t.en.txt:4: mul isn't allowed; use fields, filters, if and for"),
        ("{{ 'a' * 10 ** 9 }}", "t.en.txt:3: mul isn't allowed"),
        ("{{ order() }}", "t.en.txt:3: call isn't allowed"),
        ("{% for i in range(9) %}{% endfor %}", "t.en.txt:3: for: write it as {% for each in parc"),
        ("{{ order.__class__ }}", "t.en.txt:3: order.__class__: no such part; known: none"),
        ("{{ order['x'] }}", "t.en.txt:3: getitem isn't allowed"),
        ("{{ ''.__class__.__mro__ }}", "t.en.txt:3: .__mro__: no such part; known: none"),
        ("{{ self }}", "t.en.txt:3: self: no such field"),
        ("{% include '/etc/passwd' %}", "t.en.txt:3: include isn't allowed"),
        ("{% macro m() %}{% endmacro %}", "t.en.txt:3: macro isn't allowed"),
        ("{% set x = 1 %}", "t.en.txt:3: assign isn't allowed"),
        ("{{ order | center(9999999) }}", "t.en.txt:3: center: no such filter; known: capitalize"),
        ("{{ order | replace('S', order) }}", "t.en.txt:3: replace: no such filter"),
        ("{% for each in parcels %}{{ each.weight }}{% endfor %}", "3: each.weight: no such part"),
        ("{% if %}", "t.en.txt:3: "),
        ("{{ order", "t.en.txt:"),
        ("x" * 64_001, "t.en.txt:1: it has over 64000 bytes; shorten it"),
        ("", "t.en.txt:2: the body is missing"),
    ],
)
def test_a_bad_template_is_one_error_with_its_line(body: str, fault: str) -> None:
    (line,) = faults(body)
    assert fault in line


def test_loops_dont_nest() -> None:
    inner = "{% for b in parcels %}{{ b.number }}{% endfor %}"
    (line,) = faults(f"{{% for a in parcels %}}{inner}{{% endfor %}}")
    assert line == "t.en.txt:3: for: loops don't nest; take one out"


def test_a_template_without_a_subject_is_refused() -> None:
    assert faults("x", "Hello") == ["t.en.txt:1: the first line is no subject; write 'Subject: …'"]


def test_deep_nesting_is_refused_and_costs_no_stack() -> None:
    (line,) = faults("{{ " + "(" * 5_000 + "order" + ")" * 5_000 + " }}")
    assert line.startswith("t.en.txt:")


def test_a_message_that_grows_too_long_is_cut_off() -> None:
    long = "x" * 3_000
    grown = template(f"{{% for each in parcels %}}{long}{{{{ each.number }}}}{{% endfor %}}")
    parcels = FULL.parcels * 25
    with pytest.raises(Rejected, match=f"over {MOST_MESSAGE_CHARACTERS} characters"):
        grown.render(FULL._replace(parcels=parcels))


@given(st.text(max_size=40).filter(lambda text: "\r" not in text))
def test_no_text_of_a_template_is_run_or_breaks_it(text: str) -> None:
    """Whatever a template holds, it is refused with its line, or gives a message."""
    try:
        made = template(f"a {text} b")
    except SettingsError as error:
        assert str(error).startswith("t.en.txt:")  # noqa: PT017 - either is right
        return
    assert made.render(FULL).subject == "Hello"


def test_every_field_has_a_meaning_and_an_example() -> None:
    assert [*MEANINGS] == [*Fields._fields]
    assert all(FULL)
    assert not any(BARE._replace(order="", link="", town=""))


def test_a_folder_of_ones_own_comes_before_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "shipped.zh.txt").write_text("Subject: 好\n\n{{ order }}\n", "utf-8")
    (tmp_path / "thanks.en.txt").write_text("Subject: Thanks\n\n{{ link }}\n", "utf-8")
    found = templates_of("shipped", tmp_path)
    assert found["zh"].render(FULL) == ("好", "SO-2026-1\n")
    assert "on its way" in found["en"].render(FULL).subject
    assert [*templates_of("thanks", tmp_path)] == ["en"]


def test_faults_of_templates_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.en.txt").write_text("Subject: x\n\n{{ nothing }}\n", "utf-8")
    table = ActionTable(
        str(tmp_path / "actions.toml"),
        {},
        {"a": KindRow("d", template="bad"), "b": KindRow("d", template="shiped")},
        kind_lines={"a": 3, "b": 6},
        templates=".",
    )
    with pytest.raises(SettingsError) as refused:
        read_templates(table)
    first, second = str(refused.value).splitlines()
    assert first.startswith(f"{tmp_path / 'bad.en.txt'}:3: nothing: no such field; known: order")
    assert second == (
        f"{tmp_path / 'actions.toml'}:6: kinds.b.template: 'shiped' is no template; did you mean "
        "shipped?"
    )


# ---------------------------------------------------------------- fields
@pytest.mark.parametrize(
    ("instant", "language", "text"),
    [
        ("2026-03-02T22:59:59.999Z", "en", "Mon 2 Mar"),
        ("2026-03-02T15:59:59.999Z", "zh", "3月2日 周一"),
        ("2026-03-02T17:00:00.000Z", "en", "Mon 2 Mar 18:00"),
        ("2026-03-02T23:30:00.000Z", "zh", "3月3日 周二 00:30"),
        (None, "en", ""),
        ("soon", "en", ""),
    ],
)
def test_a_day_is_shown_as_it_was_promised_and_an_instant_in_the_zone(
    instant: str | None, language: Language, text: str
) -> None:
    assert day_text(instant, ZoneInfo("Europe/Berlin"), language) == text


def test_html_escapes_the_text_and_links_addresses() -> None:
    text = "A <b>bold</b> & co\n\nSee https://shop.example.com/t/x?a=1&lang=en\n"
    page = html_of(Message("en", "<s>", text, ""))
    assert "<b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; co" in page
    address = "https://shop.example.com/t/x?a=1&amp;lang=en"
    assert f'<a href="{address}">{address}</a>' in page


# ---------------------------------------------------------------- recipients
def test_the_newest_data_with_a_field_counts() -> None:
    personals = [{"name": "Ada"}, {"Mail": " ada@new.example "}, {"email": "ada@old.example"}]
    found = recipient_in(personals, {"email", "name", "phone"})
    assert found.fields == {"name": "Ada", "email": "ada@new.example"}
    assert "ada" not in repr(found)


def with_message(tmp_path: Path, channel: MemoryChannel, **row: object) -> Acting:
    acting = Acting(tmp_path, {"mail": channel})
    acting.table = ActionTable(
        "actions.toml",
        {"mail": ReceiverRow("memory")},
        {"shipped": msgspec.convert({"receiver": "mail", "template": "shipped"} | row, KindRow)},
    )
    return acting


def test_a_customer_gets_the_message_in_their_language_with_the_link(tmp_path: Path) -> None:
    channel = MemoryChannel(needs=EMAIL)
    acting = with_message(tmp_path, channel)
    acting.orders.documents["SO-1"] = document(
        "SO-1", attributes={"language": "zh-CN"}, destination=Destination(country="CN")
    )
    acting.personal.recipients["SO-1"] = ADA
    acting.request(action(kind="shipped"))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    (request,) = channel.taken
    assert request.recipient == ADA
    assert request.message
    assert request.message.subject == "The Shop：订单 SO-1 已发货"
    assert "https://shop.example.com/t/SO-1?lang=zh" in request.message.text
    assert acting.personal.reads == [("SO-1", EMAIL)]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (NoRecipient("the customer's personal data was erased"), "data was erased"),
        (Recipient(), "the order's personal data has no email"),
    ],
)
def test_without_a_recipient_an_action_is_skipped_with_the_reason(
    tmp_path: Path, found: Recipient | Exception, reason: str
) -> None:
    channel = MemoryChannel(needs=EMAIL)
    acting = with_message(tmp_path, channel, most_a_day=1)
    acting.orders.documents["SO-1"] = document("SO-1")
    acting.personal.recipients["SO-1"] = found
    acting.request(action(kind="shipped"))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
        assert not worker.outbox.contacts(BEGIN_AT), "nobody was sent anything"
    assert not channel.taken
    assert reason in acting.notes()[0]["text"]
    assert acting.audit()[0]["what"] == "action.skipped"


def test_who_has_unsubscribed_from_a_kind_gets_others_and_nothing_is_opened(tmp_path: Path) -> None:
    channel = MemoryChannel(needs=EMAIL)
    acting = with_message(tmp_path, channel)
    for order_id, customer in (("SO-1", "C-1"), ("SO-2", "C-2")):
        acting.orders.documents[order_id] = document(order_id, customer_id=customer)
        acting.personal.recipients[order_id] = ADA
    acting.refusals.refused = {
        (f"default{SEPARATOR}C-1", "shipped"),
        (f"default{SEPARATOR}C-2", "delayed"),
    }
    acting.refusals.is_reading = True
    acting.request(action("SO-1", kind="shipped"), action("SO-2", kind="shipped"))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker) == ["waiting"] * 2, "both wait")
        assert not channel.taken
        acting.refusals.is_reading = False
        acting.run_to_the_end(worker, 2)
    assert [each.action.order_id for each in channel.taken] == ["SO-2"]
    assert acting.personal.reads == [("SO-2", EMAIL)]
    texts = {note["order_id"]: note["text"] for note in acting.notes()}
    assert texts["SO-1"] == "shipped: skipped (the customer has unsubscribed from such messages)"


def test_personal_data_that_is_unavailable_is_awaited_and_pauses_nobody(tmp_path: Path) -> None:
    channel = MemoryChannel(needs=EMAIL)
    acting = with_message(tmp_path, channel)
    acting.orders.documents["SO-1"] = document("SO-1")
    acting.personal.recipients["SO-1"] = Busy("privacy.keys: missing")
    acting.request(action(kind="shipped"))
    with acting.worker() as worker:
        acting.run_until(worker, lambda: acting.states(worker) == ["waiting"], "a wait")
        assert worker.receivers["mail"].reason is None
        acting.personal.recipients["SO-1"] = ADA
        acting.run_to_the_end(worker, 1)
    assert len(channel.taken) == 1


def test_a_channel_that_needs_nothing_of_a_person_opens_nothing(tmp_path: Path) -> None:
    channel = MemoryChannel()
    acting = with_message(tmp_path, channel)
    acting.orders.documents["SO-1"] = document("SO-1")
    acting.request(action(kind="shipped"))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    assert channel.taken[0].message
    assert acting.personal.reads == []


def test_what_a_receiver_answers_is_shown_without_the_recipient(tmp_path: Path) -> None:
    channel = MemoryChannel(needs=EMAIL)
    channel.answers.append(Rejected("smtp_550", "no mailbox <ADA@example.com>"))
    acting = with_message(tmp_path, channel)
    acting.orders.documents["SO-1"] = document("SO-1")
    acting.personal.recipients["SO-1"] = ADA
    acting.request(action(kind="shipped"))
    with acting.worker() as worker:
        acting.run_to_the_end(worker, 1)
    assert acting.notes()[0]["text"] == "shipped: dead (no mailbox <(personal data)>)"
    everything = [*acting.notes(), *acting.audit()]
    assert "ada" not in msgspec.json.encode(everything).decode().lower()


def test_the_passed_promise_is_the_one_that_the_rule_counted_from(tmp_path: Path) -> None:
    acting = with_message(tmp_path, MemoryChannel(), template="delayed")
    told = document(
        "SO-1",
        promised_at="2026-12-04T22:59:59.999Z",
        destination=Destination(country="DE"),
    )
    wanted = action(kind="shipped")
    because = msgspec.structs.replace(
        wanted.because, anchor="promised_at", anchor_at="2026-11-29T22:59:59.999Z"
    )
    wanted = msgspec.structs.replace(wanted, because=because)
    row = acting.table.row_of("shipped", "default")
    assert row
    message = acting.messages().of(row, wanted, told, came_at=parse_instant(wanted.at))
    assert "by Sun 29 Nov. It is not" in message.text
    assert "expected by Fri 4 Dec now" in message.text

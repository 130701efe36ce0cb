"""Messages to customers: an order in the words of its kind's template, with a link to its page."""

import re
from collections.abc import Callable
from html import escape
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Action
from schemas.alert_text import Language
from schemas.order import OrderDocument
from sinks.actions.amounts import Amount
from sinks.actions.messages.fields import LANGUAGES, Fields, Shop, fields_of
from sinks.actions.messages.templates import Templates
from sinks.actions.people import person_of
from sinks.actions.quiet_hours import zone_of
from sinks.actions.table import KindRow

LANGUAGE = "language"  # attribute of an order: the customer's
LINK = re.compile(r"https?://[^\s<>&]+(?:&amp;[^\s<>&]+)*")
PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{subject}</title></head>
<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em">
{paragraphs}
</body></html>
"""


class Message(msgspec.Struct, frozen=True):
    """A message to a customer, as it is sent; `unsubscribe` is the page that ends such messages."""

    language: Language
    subject: str
    text: str
    link: str
    unsubscribe: str = ""


# The customer's page: (action, append time of its request in ms, language).
LinkTo = Callable[[Action, int, Language], str]
# The page that ends a person's messages of the action's kind: (person, action, language).
UnsubscribeAt = Callable[[str, Action, Language], str]


def nowhere(_person: str, _action: Action, _language: Language) -> str:
    """No page, for a preview."""
    return ""


class Messages(NamedTuple):
    """Messages by the templates of a table, for a shop.

    `link_to` is the customer's page, `unsubscribe_at` the one that ends such messages.
    """

    templates: Templates
    shop: Shop
    link_to: LinkTo
    unsubscribe_at: UnsubscribeAt = nowhere

    def of(
        self,
        row: KindRow,
        action: Action,
        order: OrderDocument,
        *,
        came_at: int,
        amount: Amount | None = None,
        language: Language | None = None,
    ) -> Message:
        """The message of an action, in the customer's language where there is a template in it.

        Raises:
            Rejected: `template`, it fails or is too long.
        """
        chosen = language or self.language_of(row, order)
        fields = self.fields(row, action, order, chosen, came_at=came_at, amount=amount)
        text = self.templates[row.template or ""][chosen].render(fields)
        unsubscribe = self.unsubscribe_at(person_of(order), action, chosen)
        return Message(chosen, text.subject, text.body, fields.link, unsubscribe)

    def fields(
        self,
        row: KindRow,
        action: Action,
        order: OrderDocument,
        language: Language,
        *,
        came_at: int,
        amount: Amount | None = None,
    ) -> Fields:
        """The fields that the template of an action may use."""
        return fields_of(
            *(order, action, self.shop, self.link_to(action, came_at, language)),
            language=language,
            zone=ZoneInfo(zone_of(order.destination, row.zone, came_at)),
            amount=amount,
        )

    def language_of(self, row: KindRow, order: OrderDocument) -> Language:
        """The language of an order's attribute `language`, else the kind's."""
        own = str(order.attributes.get(LANGUAGE) or "").lower()
        written = self.templates[row.template or ""]
        wanted = (each for each in LANGUAGES if own.startswith(each) and each in written)
        return next(wanted, row.language)


def html_of(message: Message) -> str:
    """A message as a page of HTML, in which its text is escaped."""
    paragraphs = [
        f"<p>{LINK.sub(linked, escape(part)).replace(chr(10), '<br>')}</p>"
        for part in message.text.strip().split("\n\n")
    ]
    return PAGE.format(
        language="zh-Hans" if message.language == "zh" else message.language,
        subject=escape(message.subject),
        paragraphs="\n".join(paragraphs),
    )


def linked(found: re.Match[str]) -> str:
    """An address as a link."""
    return f'<a href="{found[0]}">{found[0]}</a>'

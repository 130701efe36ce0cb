"""Messages to customers by the settings: templates, the shop, links to the customer's page."""

from pathlib import Path

from commands.key import address_of
from gateway.access.folder import open_folder
from gateway.access.shares import DEFAULT_DAYS, Share, Shares
from gateway.unsubscribing import Refusals
from schemas.alert import Action
from schemas.alert_text import Language
from schemas.instants import DAY_MS
from schemas.settings.model import Settings
from sinks.actions.messages.fields import Shop
from sinks.actions.messages.messages import LinkTo, Messages, UnsubscribeAt
from sinks.actions.messages.templates import read_templates
from sinks.actions.table import ActionTable


def messages_of(settings: Settings, table: ActionTable) -> Messages:
    """The messages of a table.

    Raises:
        SettingsError: a template, or the folder of `serve`, can't be used.
    """
    templates = read_templates(table)
    # The folder of `serve` isn't needed, and perhaps not there, where no customer is written to.
    if not templates:
        return Messages(templates, shop_of(settings), no_link)
    return Messages(templates, shop_of(settings), links_of(settings), unsubscribe_of(settings))


def unsubscribe_of(settings: Settings) -> UnsubscribeAt:
    """The page that ends messages of a kind, with a link for each person.

    Raises:
        SettingsError: the folder of `serve` holds no secret.
    """
    refusals = refusals_of(settings)
    address = address_of(settings.serve)

    def unsubscribe_at(person: str, action: Action, language: Language) -> str:
        token = refusals.token(person, action.kind, action.tenant, action.order_id)
        return f"{address}/u/{token}?lang={language}"

    return unsubscribe_at


def refusals_of(settings: Settings) -> Refusals:
    """Refusals of an installation, none of them read yet.

    Raises:
        SettingsError: the folder of `serve` holds no secret.
    """
    return Refusals(open_folder(Path(settings.serve.folder)).secret)


def no_link(_action: Action, _came_at: int, _language: Language) -> str:
    """No link, for a table without messages."""
    return ""


def shop_of(settings: Settings) -> Shop:
    """The shop as customers see it."""
    return Shop(settings.serve.title, settings.serve.contact)


def links_of(settings: Settings) -> LinkTo:
    """Links to the customer's page, each the same on every attempt.

    Raises:
        SettingsError: the folder of `serve` holds no secret.
    """
    shares = Shares(open_folder(Path(settings.serve.folder)).secret)
    address = address_of(settings.serve)

    def link_to(action: Action, came_at: int, language: Language) -> str:
        until_s = (came_at + DEFAULT_DAYS * DAY_MS) // 1000
        share = Share(action.tenant, action.order_id, "town", until_s)
        return f"{address}/t/{shares.repeatable(share)}?lang={language}"

    return link_to

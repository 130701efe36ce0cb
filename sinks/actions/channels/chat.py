"""Chat: an action as a message in a group chat, or on a phone, by an address of apprise.

The receiver's secret is the address, such as `slack://…`, `wecombot://…`, `dingtalk://…`: it holds
the tokens. apprise, an extra, knows the services; `chat_service.py` sends through it.
"""

from pathlib import Path

from schemas.errors import SettingsError
from sinks.actions.channels.action_channel import ActionChannel, ReceiverSettings
from sinks.actions.channels.addresses import Allowed
from telemetry.http_client import tls_context


def open_channel(settings: ReceiverSettings) -> ActionChannel:
    """The chat of a receiver.

    Raises:
        SettingsError: the extra or the address is missing, or the address can't be used.
    """
    settings.check_options({"ca"})
    try:
        from sinks.actions.channels.chat_service import ChatChannel  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(f"chat: {error}; pip install 'ordertide[chat]'") from error
    if not settings.secret:
        raise SettingsError(
            f"secret is missing; set {settings.variable} to the chat's address, such as "
            "slack://TOKEN_A/TOKEN_B/TOKEN_C, wecombot://KEY or dingtalk://TOKEN"
        )
    ca = settings.options.get("ca")
    return ChatChannel(
        settings.secret,
        settings.variable,
        Allowed(settings.private),
        tls_context(Path(ca) if ca else None, "ca"),
    )

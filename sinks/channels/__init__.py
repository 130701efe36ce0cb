"""Channels: receivers of order alerts, such as Alertmanager or a webhook.

Door: `installed.open_channel`; `channel.Channel` is the Protocol, and
`tests/contracts/test_channels.py` its exact meaning. May import telemetry and schemas.
Begin reading with `memory.py`, the shortest channel, then `alertmanager.py`. A channel is one file
and one entry point of the group `ordertide.channels`.
"""

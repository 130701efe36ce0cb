"""Channels: receivers of order alerts, such as Alertmanager or a webhook.

Door: `channel.Channel`, a Protocol; `tests/contracts/test_channels.py` is its exact meaning.
May import telemetry and schemas. Begin reading with `memory.py`, the shortest channel, then
`alertmanager.py`. A channel is one file and one entry in `commands/deliver.py`.
"""

"""Action channels: the ways to a receiver of actions, such as a webhook, a mail or a log line.

Door: `installed.open_channel`; `action_channel.ActionChannel` is the Protocol, and
`tests/contracts/test_action_channels.py` its exact meaning. May import telemetry and schemas.
Begin reading with `memory.py`. A channel is one file and one entry point of the group
`ordertide.action_channels`.
"""

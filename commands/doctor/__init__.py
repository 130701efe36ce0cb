"""`ordertide doctor`: checks of a configuration against the servers it names.

Door: `command.py`, which runs every check and prints its findings with their remedies.
May import all rooms below commands/; nothing imports it but `commands/main.py` and `tier`.
Begin reading with `findings.py` (what a check returns), then `kafka.py` for an example.
"""

"""`ordertide state`: inspecting, verifying and exporting the shard store of a stopped flow.

Door: `command.py`. May import dataflows.core and dataflows.state; nothing imports it but
`commands/main.py`. Begin reading with `files.py` (the files, opened as of one moment), then
`verify.py`.
"""

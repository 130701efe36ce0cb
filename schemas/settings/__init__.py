"""Settings: one TOML file, every key overridable by an environment variable.

Door: `sources.py` loads them, `model.py` is their shape. Imports only schemas.
Begin reading with `model.py`, then `sources.py` (precedence, files named by the environment) and
`checks.py` (every fault of a file at once); `meanings.py` and `page.py` make docs/settings.md.
"""

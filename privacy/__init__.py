"""Privacy: personal data sealed under a key per customer, so that erasing a key erases a person.

Door: `keys.FileKeyStore`, and `seal.py` for events. May import schemas.
Begin reading with `seal.py` (what of an event is sealed), then `keystore.py` and `key_file.py` (the
wrapped keys), and `originals.py` (rejected messages, sealed as a whole).
"""

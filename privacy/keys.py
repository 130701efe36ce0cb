"""The key stores, under one name."""

from privacy.key_file import FileKeyStore
from privacy.keystore import Key, KeyErased, KeyStore, subject_of
from privacy.memory import MemoryKeyStore

__all__ = ["FileKeyStore", "Key", "KeyErased", "KeyStore", "MemoryKeyStore", "subject_of"]

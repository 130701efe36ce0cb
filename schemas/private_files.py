"""Files and folders for their owner only, whatever the umask of the process.

Orders are private: state, recovery, tiers, results, keys and logs have mode 0600, the folders made
for them 0700. An existing folder keeps its mode: it may be shared on purpose.
"""

import os
from pathlib import Path
from typing import BinaryIO, TextIO, cast

FILE_MODE, FOLDER_MODE = 0o600, 0o700
UMASK = 0o077  # for what libraries create: SQLite's logs, bytewax's recovery files, servers


def private_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing, for its owner only.

    Raises:
        OSError: it can't be created, or is a file.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=FOLDER_MODE, exist_ok=True)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)  # raises where it is a file


def private_binary(path: Path, mode: str = "wb") -> BinaryIO:
    """Open a file to be written as bytes; created for its owner only.

    Raises:
        OSError: it can't be opened.
    """
    return cast("BinaryIO", open(path, mode, opener=opener))


def private_text(path: Path) -> TextIO:
    """Open a file to be written as UTF-8 with Unix line ends; created for its owner only.

    Raises:
        OSError: it can't be opened.
    """
    return open(path, "w", encoding="utf-8", newline="\n", opener=opener)


def opener(path: str, flags: int) -> int:
    """Open a file for `open` with the owner's mode."""
    return os.open(path, flags, FILE_MODE)


def make_private(folder: Path) -> None:
    """Close the files in a folder to others, as libraries create them by the umask."""
    for path in folder.iterdir():
        path.chmod(FILE_MODE)

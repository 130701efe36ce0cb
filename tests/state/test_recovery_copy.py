"""Copies of bytewax's files while they are written: each is of one moment."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from dataflows.state.recovery_copy import RecoveryCopy, put_back

COPIES = 60


def writer(path: Path, stop: threading.Event) -> None:
    """Transactions that keep two rows equal, with a log that is begun anew all the time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 40")
        number = 0
        while not stop.wait(0.001):
            number += 1
            database.execute("BEGIN")
            database.execute("UPDATE snaps SET number = ?, filling = randomblob(20000)", (number,))
            database.execute("COMMIT")


def test_a_copy_is_of_one_moment_however_much_is_written_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "recovery"
    folder.mkdir()
    path = folder / "part-0.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE snaps (number INTEGER, filling BLOB)")
        database.executemany("INSERT INTO snaps VALUES (0, NULL)", [()] * 2)
        database.commit()
    stop = threading.Event()
    thread = threading.Thread(target=writer, args=(path, stop))
    thread.start()
    copy = RecoveryCopy(folder)
    seen: list[int] = []
    try:
        for number in range(COPIES):
            put_back(tmp_path / f"copy-{number}", copy.take())
    finally:
        stop.set()
        thread.join()
        copy.close()
    for number in range(COPIES):
        with closing(sqlite3.connect(tmp_path / f"copy-{number}" / path.name)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            numbers = {row[0] for row in database.execute("SELECT number FROM snaps")}
        assert len(numbers) == 1
        seen += numbers
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_no_folder_has_no_copy(tmp_path: Path) -> None:
    copy = RecoveryCopy(tmp_path / "recovery")
    assert copy.take() == {}
    copy.close()

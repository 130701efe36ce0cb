"""Faults that the operating system reports, in words: of files, disks and connections."""

import errno
import os
import re
import socket
from collections.abc import Iterator

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# errno → what to do about the file or folder
REMEDIES = {
    errno.EACCES: "let this user read and write it, or name another one in the settings",
    errno.EPERM: "let this user change it (lsattr shows if it is immutable), or name another one",
    errno.EROFS: "mount its disk for writing, or name a folder on another one",
    errno.ENOENT: "create it, or name another one in the settings",
    errno.ENOTDIR: "a file stands where a folder has to be; move it away, or name another one",
    errno.EISDIR: "a folder stands where a file has to be; move it away, or name another one",
    errno.EEXIST: "a file stands where a folder has to be; move it away, or name another one",
    errno.ENOTEMPTY: "it holds something else; move that away, or name another one",
    errno.ELOOP: "its symbolic links lead in a circle; correct them",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.EIO: "check its disk (dmesg), and restore what it held from a backup",
    errno.EBUSY: "another process or a mount holds it; end that, or name another one",
    errno.ETXTBSY: "another process runs it; end that, or name another one",
    errno.ENOLCK: "put it on a local disk: this file system has no locks",
    errno.ENOTSUP: "put it on a local disk: this file system can't do that",
    errno.ESTALE: "its network disk was remounted; put it on a local disk",
    **dict.fromkeys(NO_ROOM, "free some space, or raise the quota or limit, and start again"),
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE), "too many files are open; raise the limit (ulimit -n)"
    ),
}


def os_fault_text(error: OSError) -> str | None:
    """`<file>: <problem>; <remedy>`; None for an error that is no fault of a file or a disk."""
    number = error.errno
    if number is None or number not in REMEDIES:
        return None
    problem, remedy = os.strerror(number), REMEDIES[number]
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if is_name(name)]
    if names:
        return f"{' -> '.join(names)}: {problem}; {remedy}"
    # A failed write names no file: only shortages of the whole system are reported without one.
    if number in NO_ROOM | {errno.EMFILE, errno.ENFILE}:
        return f"this process: {problem}; {remedy}"
    return None


def is_name(name: object) -> bool:
    """Return True if an error names a file; one of an open descriptor carries its number."""
    return isinstance(name, str | bytes | os.PathLike)


# How clients of servers write an address and an error number into their texts.
ADDRESS = re.compile(r"connecting to ([^\s,]+?)[.,]?(?:\s|$)|host='([^']+)', port=(\d+)")
NUMBERED = re.compile(r"\[Errno -?\d+\] ([^)'\"]+)")
NO_ADDRESS = "the host name has no address"
TOO_LATE = "not in time"


def no_answer(error: BaseException, server: str = "") -> str:
    """`no answer from SERVER (connection refused)`, for a client's error of a connection.

    `server` is its address, by default the one in the error's text.
    """
    text = str(error)
    found = ADDRESS.search(text)
    at = server or (":".join(part for part in found.groups() if part) if found else "")
    reason = connection_fault(error)
    if not at and not reason:
        return text
    return f"no answer{f' from {at}' if at else ''} ({reason or text})"


def connection_fault(error: BaseException) -> str:
    """Problem of a connection, of an error or of its causes; empty where it isn't known."""
    for cause in causes(error):
        if isinstance(cause, socket.gaierror):
            return NO_ADDRESS
        if isinstance(cause, TimeoutError) or "timed out" in str(cause).lower():
            return TOO_LATE
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
    numbered = NUMBERED.search(str(error))
    return numbered[1].strip().lower() if numbered else ""


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__

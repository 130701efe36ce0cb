"""Faults of files and disks, as the operating system reports them: one line with the remedy."""

import errno
import os

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

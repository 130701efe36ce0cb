"""Errors of HDFS, translated: retry, or fail."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from hdfs.util import HdfsError

from schemas.errors import Busy, StateError
from schemas.os_faults import no_answer
from storage_tiering.archive.files import FileMissing

RETRY_AFTER_S = 5.0
DATANODE = re.compile(r'ip_addr: \\*"([^"\\]*).*?xfer_port: (\d+)')  # quotes are escaped

# Refusals that no waiting changes. All others pass: safe mode, a stand-by NameNode, a full quota,
# no DataNode with room ("could only be written to 0 of the 1 minReplication nodes"), a lost lease.
LASTING = {
    "AccessControlException",
    "AuthorizationException",
    "FileNotFoundException",
    "IllegalArgumentException",
    "InvalidPathException",
    "ParentNotDirectoryException",
    "SecurityException",
}
# The same, for exceptions whose name doesn't show it.
LASTING_REASONS = (
    "must both be directories",  # a folder has the file's name
    "Authentication failure",  # 401: a cluster that requires Kerberos
)


@contextmanager
def answers(name: str, servers: str) -> Iterator[None]:
    """Translate the errors of WebHDFS for the file `name`; `servers` are the ones queried.

    Raises:
        Busy: it is temporary. StateError: it isn't.
    """
    try:
        yield
    except requests.RequestException as error:
        silent = asked(error, servers)
        of = "" if silent == servers else f", of the HDFS at {servers}"
        raise Busy(f"archive {name}: {no_answer(error, silent)}{of}", RETRY_AFTER_S) from error
    except HdfsError as error:
        raise refusal(name, servers, error) from error


def asked(error: requests.RequestException, servers: str) -> str:
    """The server without an answer: data goes to a DataNode, which the settings don't name."""
    request = error.request
    return servers if request is None else urlsplit(str(request.url)).netloc


def refusal(name: str, servers: str, error: HdfsError) -> Busy | StateError:
    """The error for what a NameNode or DataNode has refused."""
    lines = str(error).strip().splitlines() or ["it gave no reason"]
    what = f"{error.exception or 'HdfsError'}: {lines[0]}"
    if error.exception in LASTING or any(reason in lines[0] for reason in LASTING_REASONS):
        return StateError(
            f"archive {name}: {what}; check the archive's folder at {servers} and the user's rights"
        )
    return Busy(f"archive {name}: HDFS at {servers}: {what}", RETRY_AFTER_S)


@contextmanager
def readings(name: str, servers: str) -> Iterator[None]:
    """The same for what hdfs-native raises about the file `name`.

    Raises:
        Busy: it will pass. FileMissing: there is none. StateError: it may not be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        reason = plainly(error)
        raise FileMissing(f"archive {name}: {reason}; check the archive's folder") from error
    except PermissionError as error:
        reason = plainly(error)
        raise StateError(f"archive {name}: {reason}; check the archive's folder") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: no DataNode gives the block
        raise Busy(f"archive {name}: HDFS at {servers}: {plainly(error)}", RETRY_AFTER_S) from error


def plainly(error: Exception) -> str:
    """Error of hdfs-native without the Java trace and the 20 fields of each DataNode."""
    first_line = str(error).partition("\n")[0]
    nodes = DATANODE.findall(first_line)
    return f"no answer from DataNode {', '.join(map(':'.join, nodes))}" if nodes else first_line

"""The doctor on the archive; of HDFS: which NameNode is active, safe mode, room, rights, clock."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.doctor.http import Answer, HttpTarget, Unanswered
from commands.doctor.vouching import staleness_of
from schemas.errors import SettingsError
from storage_tiering.archive.opening import archive_files, listed

BEANS = "/jmx?qry=Hadoop:service=NameNode,name={}"
LOW = 0.1
TOO_LOW = 0.02
NOT_FOUND = 404


class NameNode(NamedTuple):
    """The active NameNode; its beans NameNodeInfo (`info`) and FSNamesystemState (`state`)."""

    target: HttpTarget
    info: dict[str, Any]
    state: dict[str, Any]
    clock: Finding


def check(context: CheckContext) -> Iterator[Finding]:
    """The NameNodes and the archive's folder there; a local folder is the host's business."""
    archive = context.settings.archive
    if not archive.webhdfs and not archive.namenodes:
        yield ok("place", "a folder on this host: see host")
        yield from staleness_of(context, "archive")
        return
    try:
        archive_files(context.settings)
    except SettingsError as error:
        yield problem("settings", str(error), "correct the settings under [archive]")
        return
    targets = [
        HttpTarget(f"http://{address}", "[archive] webhdfs", context.timeout_s)
        for address in listed(archive.webhdfs or "")
    ]
    found = [*check_name_nodes(targets, archive.folder, archive.user)]
    yield from found
    if all(each.level != "problem" for each in found):  # a silent one would be asked for minutes
        yield from staleness_of(context, "archive")


def check_name_nodes(targets: list[HttpTarget], folder: str, user: str) -> Iterator[Finding]:
    """Each address of a NameNode; and if one is active, everything else."""
    active = []
    for target in targets:
        try:
            state = state_of(target)
        except Unanswered as error:
            if len(targets) == 1:
                yield error.finding
                return
            yield standing_by(error.finding)
            continue
        yield ok("reachable", f"{target.shown}: {state}")
        active += [target] if state == "active" else []
    if not active:
        yield problem("active", "no active NameNode", "start one, or check why none takes over")
        return
    try:
        node = node_at(active[0])
        for each in CHECKS:
            yield from each(node)
        yield from rights(node, folder, user)
    except Unanswered as error:
        yield error.finding


def state_of(target: HttpTarget) -> str:
    """`active`, `standby`, or that it is none."""
    return str(bean(target.get(BEANS.format("NameNodeStatus"))).get("State", "no NameNode"))


def standing_by(finding: Finding) -> Finding:
    """Downgrade the finding of one of several: a missing active node is a problem of its own."""
    return warning(finding.subject, finding.found, finding.remedy)


def node_at(target: HttpTarget) -> NameNode:
    """Query the state of the active NameNode."""
    answer = target.get(BEANS.format("NameNodeInfo"))
    state = bean(target.get(BEANS.format("FSNamesystemState")))
    return NameNode(target, bean(answer), state, answer.clock)


def bean(answer: Answer) -> dict[str, Any]:
    """The one requested bean; empty where there is none."""
    match answer.data:
        case {"beans": [dict(found), *_]}:
            return found
        case _:
            return {}


def version(node: NameNode) -> Iterator[Finding]:
    """Report its version."""
    yield ok("version", str(node.info.get("SoftwareVersion", "unknown")))


def safe_mode(node: NameNode) -> Iterator[Finding]:
    """In safe mode nothing is written."""
    if text := node.info.get("Safemode"):
        remedy = "wait until enough DataNodes have reported, or 'hdfs dfsadmin -safemode leave'"
        yield problem("safe mode", str(text).strip(), remedy)
    else:
        yield ok("safe mode", "off")


def data_nodes(node: NameNode) -> Iterator[Finding]:
    """Check the DataNodes, and for lost blocks."""
    live = int(node.state.get("NumLiveDataNodes", 0))
    dead = int(node.state.get("NumDeadDataNodes", 0))
    found = f"{live} live, {dead} dead"
    if not live:
        yield problem("DataNodes", found, "start them: nothing can be written or read")
    elif dead:
        yield warning("DataNodes", found, "bring them back, or take them out")
    else:
        yield ok("DataNodes", found)
    if missing := int(node.info.get("NumberOfMissingBlocks", 0)):
        found = f"{missing} are missing"
        yield problem("blocks", found, "bring DataNodes back; 'hdfs fsck /' names the files")


def room(node: NameNode) -> Iterator[Finding]:
    """Check the free capacity."""
    total = int(node.state.get("CapacityTotal", 0))
    free = int(node.state.get("CapacityRemaining", 0))
    if not total:
        return
    found = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    remedy = "add DataNodes or disks: the archive grows for ever"
    if free < total * TOO_LOW:
        yield problem("room", found, remedy)
    elif free < total * LOW:
        yield warning("room", found, remedy)
    else:
        yield ok("room", found)


def clock(node: NameNode) -> Iterator[Finding]:
    """The Date header of an answer."""
    yield node.clock


def rights(node: NameNode, folder: str, user: str) -> Iterator[Finding]:
    """May we write into the archive's folder, or make it?"""
    path = PurePosixPath("/") / folder
    for there in (path, *path.parents):
        question = urlencode({"op": "CHECKACCESS", "fsaction": "rwx", "user.name": user})
        try:
            node.target.get(f"/webhdfs/v1{quote(str(there))}?{question}")
        except Unanswered as error:
            if error.status == NOT_FOUND and there != PurePosixPath("/"):
                continue
            found = f"{user} may not write to {there}: {error}"
            yield problem("authorised", found, f"hdfs dfs -chown {user} {path}")
            return
        will = "" if there == path else f"; {path} will be made"
        yield ok("authorised", f"{user} may write to {there}{will}")
        return


CHECKS = (version, safe_mode, data_nodes, room, clock)

"""The doctor on the archive: HDFS, where the settings name it."""

from collections.abc import Iterator

from commands.doctor import hdfs as doctor_hdfs
from commands.doctor.findings import Finding, Visit, ok, problem
from commands.doctor.http import Site
from commands.doctor.vouching import doubts
from commands.wiring.tiers import archive_files, listed
from schemas.errors import SettingsError


def examine(visit: Visit) -> Iterator[Finding]:
    """The NameNodes and the archive's folder there; a local folder is the host's business."""
    archive = visit.settings.archive
    if not archive.webhdfs and not archive.namenodes:
        yield ok("place", "a folder on this host: see host")
        yield from doubts(visit, "archive")
        return
    try:
        archive_files(visit.settings)
    except SettingsError as error:
        yield problem("settings", str(error), "correct the settings under [archive]")
        return
    sites = [
        Site(f"http://{address}", "[archive] webhdfs", visit.timeout_s)
        for address in listed(archive.webhdfs or "")
    ]
    yield from doctor_hdfs.look_at(sites, archive.folder, archive.user)
    yield from doubts(visit, "archive")

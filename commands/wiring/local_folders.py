"""The folders that the settings put on this host's own disks."""

from schemas.settings.model import Settings


def local_folders(settings: Settings) -> dict[str, str]:
    """By key; those of tiers that lie on servers are left out."""
    folders = {
        "track.folder": settings.track.folder,
        "act.folder": settings.act.folder,
        "poll.folder": settings.poll.folder,
    }
    if not settings.warm.url:
        folders["warm.folder"] = settings.warm.folder
    if not settings.archive.webhdfs:
        folders["archive.folder"] = settings.archive.folder
    return folders

"""Folders on HDFS for tests."""

from collections.abc import Mapping

from storage_tiering.archive.hdfs import HdfsPlace
from tests.support import stack


def hdfs_place() -> HdfsPlace:
    """A folder of a test's own on the stack's HDFS."""
    return place_on(stack.address("hdfs"), f"/{stack.namespace()}/archive")


def place_on(address: Mapping[str, str], root: str) -> HdfsPlace:
    """A folder on the HDFS with these addresses."""
    return HdfsPlace(
        web=[address["web"].removeprefix("http://")],
        rpc=[address["rpc"].removeprefix("hdfs://")],
        root=root,
        user=address["user"],
    )

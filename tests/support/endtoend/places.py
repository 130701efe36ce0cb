"""Settings of the three tiers for servers at given addresses."""

from collections.abc import Mapping

from deploy.installation import Tables
from tests.support.stack import namespace


def tables_on(addresses: Mapping[str, Mapping[str, str]]) -> tuple[str, Tables]:
    """(a new name, tables of settings in which prefixes and folders bear it).

    `addresses` are those of redis, elasticsearch and hdfs, as in stack.json.
    """
    name, hdfs = namespace(), addresses["hdfs"]
    return name, {
        "hot": {"url": addresses["redis"]["url"], "prefix": name},
        "warm": {"url": addresses["elasticsearch"]["url"], "prefix": name, "keep": "3000d"},
        "archive": {
            "folder": f"/{name}/archive",
            "webhdfs": hdfs["web"].removeprefix("http://"),
            "namenodes": hdfs["rpc"].removeprefix("hdfs://"),
            "user": hdfs["user"],
            "seal_rows": 5_000,
            "seal_after": "2s",
        },
    }

"""A process that seals one large file on HDFS, to be killed meanwhile.

Arguments: the NameNode's WebHDFS address, its RPC address, the archive's folder, the user.
"""

import sys

from storage_tiering.archive.hdfs import HdfsFiles, HdfsPlace

NAME = "topic/large"
SIZE_BYTES = 200_000_000  # on a fast machine still 1.4 s


def main() -> None:
    web, rpc, root, user = sys.argv[1:]
    place = HdfsPlace(web=[web], rpc=[rpc], root=root, user=user)
    HdfsFiles(place).seal(NAME, bytes(SIZE_BYTES))


if __name__ == "__main__":
    main()

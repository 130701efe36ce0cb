"""A shard's watermark: the minimum over the source tasks that feed it; and what all tasks share."""

from broker.clock import NO_WATERMARK

NO_PARTITIONS = 1 << 60  # a task without partitions doesn't hold the watermark
NO_CLAIM = -2  # of a piece that isn't a task's


class Watermarks:
    """Watermark of each source task."""

    def __init__(self, tasks: int, watermark: dict[int, int] | None = None) -> None:
        """Create the table, empty or from a snapshot."""
        self.tasks = tasks
        self.by_task = dict(watermark or {})

    def advance(self, task: int, watermark: int) -> None:
        """Advance a task's watermark; it goes back only if the task had no partitions until now."""
        if watermark >= 0:
            before = self.by_task.get(task, 0)
            self.by_task[task] = watermark if before == NO_PARTITIONS else max(watermark, before)

    @property
    def watermark(self) -> int:
        """The shard's watermark in ms; 0 until every task has one, or if none ever reads."""
        if len(self.by_task) < self.tasks:
            return 0
        earliest = min(self.by_task.values())
        return 0 if earliest >= NO_PARTITIONS else earliest


class Claims:
    """Claimed watermarks of each task's partitions in recorded history; shared by a process."""

    def __init__(self) -> None:
        """Create an empty table: nothing is known of any task."""
        self.by_task: dict[int, int] = {}

    def note(self, task: int, claimed: int) -> None:
        """Take a task's claim; it may go back, where one was refuted."""
        if claimed > NO_CLAIM:
            self.by_task[task] = claimed

    def others(self, task: int, tasks: int) -> int:
        """The earliest of the other tasks in ms; -1 while nothing is known of one of them."""
        others = [self.by_task.get(other, -1) for other in range(tasks) if other != task]
        return min(others, default=NO_PARTITIONS)


class MaxWatermark:
    """Maximum of the watermarks of a process's tasks, thread-safe; no shard's is ahead of it.

    A newly found partition may bring events whose append times the shards' watermarks have passed.
    They arrive when they are found: after everything emitted so far.
    """

    def __init__(self) -> None:
        """Create a maximum without a value."""
        self.by_task: dict[int, int] = {}

    def report(self, task: int, watermark: int) -> None:
        """Set the watermark of a task."""
        if watermark != NO_PARTITIONS:
            self.by_task[task] = watermark

    @property
    def watermark(self) -> int:
        """An instant in ms; -1 before the first."""
        return max(list(self.by_task.values()), default=NO_WATERMARK)

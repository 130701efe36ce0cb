"""The source of the dataflow: the topic `events`, in a fixed number of source tasks."""

from bytewax.inputs import FixedPartitionedSource

from dataflows.exchange import Batch
from dataflows.source_task import SourceSettings, SourceTask
from dataflows.watermarks import MaxWatermark

# Stored with the state: a task that is no longer listed can't be resumed. Never change it.
SOURCE_TASKS = 8


class EventsSource(FixedPartitionedSource[Batch, bytes]):
    """Source tasks, each with some of the partitions."""

    def __init__(self, settings: SourceSettings) -> None:
        """Create the source; `settings` apply to every task."""
        self.settings = settings
        self.max_watermark = MaxWatermark()

    def list_parts(self) -> list[str]:
        """The tasks, always the same."""
        return [task_key(number) for number in range(self.settings.tasks)]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> SourceTask:
        """Open a task."""
        number = int(for_part.removeprefix("task-"))
        return SourceTask(number, resume_state, self.settings, self.max_watermark)


def task_key(number: int) -> str:
    """Bytewax's key of a task."""
    return f"task-{number:02d}"

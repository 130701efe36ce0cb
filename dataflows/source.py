"""The source of the dataflow: the topic `events`, in a fixed number of slots."""

from bytewax.inputs import FixedPartitionedSource

from dataflows.exchange import Batch
from dataflows.slot import Slot, SourceSettings
from dataflows.watermarks import Furthest

# Stored with the state: a slot that is no longer listed can't be resumed. Never change it.
SLOTS = 8


class EventsSource(FixedPartitionedSource[Batch, bytes]):
    """Slots of partitions."""

    def __init__(self, settings: SourceSettings) -> None:
        """Create the source; `settings` apply to every slot."""
        self.settings = settings
        self.furthest = Furthest()

    def list_parts(self) -> list[str]:
        """The slots, always the same."""
        return [slot_key(number) for number in range(self.settings.slots)]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> Slot:
        """Open a slot."""
        number = int(for_part.removeprefix("slot-"))
        return Slot(number, resume_state, self.settings, self.furthest)


def slot_key(number: int) -> str:
    """Bytewax's key of a slot."""
    return f"slot-{number:02d}"

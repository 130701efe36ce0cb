"""Operations: the flow of the installation, its tiers, its dead letters and its dead actions.

Door: `operations.py`, which the page of the board asks. What it shows is read when it is asked for:
positions of the groups, the metrics of the processes that register themselves, events.rejected. May
import broker, sinks, privacy and what lies below. Begin reading with `flow.py`.
"""

"""`python -m benchmarks actions`: the action worker under load, beside dead receivers, and killed.

python -m benchmarks actions confirmation      from an order's creation to its receiver
python -m benchmarks actions dead-receiver     one of twenty receivers is dead
python -m benchmarks actions kills             kill -9 at every state of the outbox
"""

import click

from benchmarks.act_kills import kills
from benchmarks.confirmation import confirmation
from benchmarks.dead_receiver import dead_receiver
from commands.wiring.groups import Group


@click.group(cls=Group)
def actions() -> None:
    """Measure the action worker: `act` as a process, with receivers in another one."""


actions.add_command(confirmation)
actions.add_command(dead_receiver)
actions.add_command(kills)

"""`make fuzz`: the fuzz tests with one new seed after the other, until one fails or time is up.

A failure prints its seed, the input that hypothesis shrank it to, and how to repeat it.
"""

import os
import random
import subprocess
import sys
import time

import click

ROUND_EXAMPLES = 2_000


@click.command()
@click.option("--minutes", type=float, default=60.0, show_default=True, help="how long")
@click.option("--seed", type=int, help="begin with this seed instead of a random one")
def main(minutes: float, seed: int | None) -> None:
    """Run rounds of generated messages through the door, the resolver and the shard."""
    ends_at = time.monotonic() + minutes * 60
    rounds = 0
    while rounds == 0 or time.monotonic() < ends_at:
        chosen = seed if seed is not None else random.SystemRandom().randrange(2**31)
        seed = None
        click.echo(f"round {rounds + 1}: ORDERTIDE_SEED={chosen}")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=0", "tests/fuzz"]
        environment = {
            **os.environ,
            "ORDERTIDE_SEED": str(chosen),
            "ORDERTIDE_FUZZ_EXAMPLES": str(ROUND_EXAMPLES),
        }
        code = subprocess.run(command, env=environment, check=False).returncode
        if code:
            click.echo(f"failed; repeat it: python -m tests.fuzz --minutes 0 --seed {chosen}")
            raise SystemExit(code)
        rounds += 1
    click.echo(f"{rounds} rounds of {ROUND_EXAMPLES} examples passed")


if __name__ == "__main__":
    main()

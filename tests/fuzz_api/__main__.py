"""`make fuzz-api`: schemathesis over the whole API as each role, with stateful links."""

import subprocess
import sys
import tempfile
from pathlib import Path

import click

ENDLESS = ("/v1/stream",)  # tests/gateway/api/test_stream.py has what it sends
# A text may have to be an instant, a duration or a cursor, and the document says text alone.
EXCLUDED = ("positive_data_acceptance",)


@click.command()
@click.option("--examples", type=int, default=200, show_default=True, help="of a route and role")
@click.option("--seed", type=int, help="repeat a run")
@click.option("--role", "roles", multiple=True, help="this role alone, or some  [default: every]")
def main(examples: int, seed: int | None, roles: tuple[str, ...]) -> None:
    """Compare the answers to generated requests with the OpenAPI document, as each role."""
    from tests.fuzz_api.served import served  # noqa: PLC0415 - the test imports this module

    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as gateway:
        failed = []
        for role in roles or gateway.keys:
            click.echo(f"as {role}")
            arguments = [
                *("run", f"{gateway.url}/v1/openapi.json"),
                *("--header", f"Authorization: Bearer {gateway.keys[role]}"),
                *("--max-examples", str(examples)),
                *("--exclude-checks", ",".join(EXCLUDED)),
                *(part for path in ENDLESS for part in ("--exclude-path", path)),
                *(("--seed", str(seed)) if seed is not None else ()),
            ]
            command = [sys.executable, "-m", "schemathesis.cli", *arguments]
            if subprocess.run(command, cwd=folder, check=False).returncode:
                failed.append(role)
    if failed:
        raise SystemExit(f"differs from the document as {', '.join(failed)}")


if __name__ == "__main__":
    main()

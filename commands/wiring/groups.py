"""Groups of commands whose list of commands shows whole sentences."""

import click

from schemas.type_faults import maybe_meant

WHOLE = 10_000  # characters: no sentence is longer


class Group(click.Group):
    """Group of commands. click cuts the description of a command at the width of one line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; the error of an unknown one names what was meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            meant = maybe_meant(args[0], self.list_commands(ctx))
            raise click.UsageError(f"{error.message.rstrip('.')}{meant}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the first sentence of its help, on as many lines as it takes."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(WHOLE))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

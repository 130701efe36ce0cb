"""Output of --help: every command has a description, and its examples keep their lines."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from commands.main import COMMANDS, cli


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """(name, command) of all commands, subcommands included."""
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", part) for sub, part in command.commands.items())


@pytest.mark.parametrize(
    ("name", "command"), [("", cli), *all_commands()], ids=lambda value: str(value)[:30]
)
def test_help_explains_a_command_and_keeps_the_lines_of_its_examples(
    name: str, command: click.Command
) -> None:
    shown = command.get_help(click.Context(command, info_name=f"ordertide {name}".strip()))
    assert "\\b" not in shown
    assert "\b" not in shown
    lines = [line.strip() for line in shown.splitlines()]
    documented = (command.help or "").split("\b\n")[1:]
    examples = [line for part in documented for line in part.split("\n\n")[0].splitlines()]
    assert all(example.strip() in lines for example in examples)
    assert len(command.help or "") > 20


GROUPS = [(name, command) for name, command in all_commands() if isinstance(command, click.Group)]


@pytest.mark.parametrize(("name", "group"), [("", cli), *GROUPS])
def test_the_list_of_a_groups_commands_is_not_cut(name: str, group: click.Group) -> None:
    context = click.Context(group, info_name=f"ordertide {name}".strip())
    listed = " ".join(group.get_help(context).partition("\nCommands:\n")[2].split())
    assert listed
    assert "..." not in listed
    for command in group.list_commands(context):
        part = group.get_command(context, command)
        assert part is not None
        sentence = " ".join((part.help or "").split("\n\n")[0].split()).partition(". ")[0]
        assert sentence.rstrip(".") in listed


def test_a_misspelt_command_is_answered_with_the_one_that_was_meant() -> None:
    for words, meant in ((["lokup"], "lookup"), (["state", "inspekt"], "inspect")):
        said = CliRunner().invoke(cli, words).output
        assert f"did you mean {meant}?" in said

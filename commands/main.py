"""The `ordertide` command. Subcommands are imported when called, so that --help is fast."""

import os
import select
import sys
from importlib import import_module

import click

from commands.wiring.groups import Group
from commands.wiring.settings_file import note_settings
from schemas.display import printable
from schemas.errors import Busy, OrdertideError, Stopped
from schemas.os_faults import os_fault_text
from schemas.private_files import UMASK
from telemetry.collector import collect_seldom
from telemetry.screen import show, show_error, show_fault

CLOSED_PIPE = 141  # exit code, as of other programs: 128 + SIGPIPE
COMMANDS = {
    "act": "commands.act.command",
    "archive": "commands.archive",
    "audit": "commands.audit",
    "bench": "commands.bench",
    "carriers": "commands.carriers",
    "config": "commands.config",
    "deliver": "commands.deliver",
    "demo": "commands.demo.command",
    "doctor": "commands.doctor.command",
    "example": "commands.example",
    "key": "commands.key",
    "list": "commands.list_plugins",
    "load": "commands.load",
    "lookup": "commands.lookup",
    "notify": "commands.notify",
    "poll": "commands.poll.command",
    "privacy": "commands.privacy.command",
    "rejected": "commands.rejected",
    "replay": "commands.replay",
    "search": "commands.search",
    "serve": "commands.serve",
    "size": "commands.size.command",
    "stack": "commands.stack",
    "state": "commands.state.command",
    "tier": "commands.tier",
    "top": "commands.top.command",
    "track": "commands.track",
    "webhook": "commands.webhook",
    "write": "commands.write",
}


class Commands(Group):
    """The subcommands, each in its own file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; an error of a server names the settings file that names the server.

        A closed pipe ends it quietly, before click gives it the exit code of a finding.
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            if is_output_closed():
                sys.exit(CLOSED_PIPE)
            raise
        except Exception as error:
            note_settings(error, ctx)
            raise
        return result


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ordertide")
def cli() -> None:
    """The engine that knows where every order is.

    \b
    ordertide demo --once                 the whole thing on sample orders, in a minute
    ordertide replay events.ndjson --out results
    ordertide lookup ORDER_ID             one order, from whichever tier holds it

    \b
    Exit codes:
      0    done, or stopped by a signal
      1    a finding: no such order, a problem, damage (a command's help says which)
      2    it can't be done: arguments, settings, files, a server
      3    lookup: a tier gave no answer, so the order may exist
      130  interrupted with Ctrl-C
      141  the reader of the output has gone, as in ordertide … | head
    """


def main() -> None:
    """Run the command line; a mistake of the user's is one line and exit code 2."""
    collect_seldom()
    sys.excepthook = show_fault
    os.umask(UMASK)
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        show("stopped", err=True)
        sys.exit(130)
    except Stopped as stopped:
        show_error(stopped)
    except Busy as busy:
        show_error(busy)
        sys.exit(exit_code_of_busy())
    except OrdertideError as error:
        show_error(error)
        sys.exit(2)
    except OSError as error:
        text = os_fault_text(error)
        if text is None:
            raise
        show(f"ordertide: {printable(text)}", err=True)
        sys.exit(2)
    except Exception as error:
        # Imported only by commands that use it: then it has raised this.
        kafka = sys.modules.get("confluent_kafka")
        if kafka is None or not isinstance(error, kafka.KafkaException):
            raise
        show_error(of_kafka(error))
        sys.exit(2)


def is_output_closed() -> bool:
    """Return True if nobody reads the output any more; what is still to be written is dropped."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    # Python flushes once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def of_kafka(error: Exception) -> OrdertideError:
    """A Kafka exception in words, with its notes."""
    from broker.errors import BrokerFailed, worded

    failed = BrokerFailed(f"broker: {worded(error)}")
    for note in getattr(error, "__notes__", ()):
        failed.add_note(note)
    return failed


def exit_code_of_busy() -> int:
    """The exit code of a command whose server is unavailable.

    0 where it was stopped meanwhile; 1 for a worker, which its run then restarts; else 2.
    """
    interrupts = sys.modules.get("broker.interrupts")
    if interrupts is not None and interrupts.STOPPING.is_set():
        return 0
    return 1 if "--member" in sys.argv else 2

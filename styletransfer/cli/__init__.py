"""The command line: `styletransfer COMMAND`, with one module per command in `commands`.

A command's module is imported when the command is called, and none of them imports torch at the top, so
`--help` and `--version` answer at once.
"""

from __future__ import annotations

import signal
import sys
import warnings
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from styletransfer import __version__

from ..errors import OptionError
from .console import Terminated, exit_code_of, open_closed_streams, print_error

NAME = "styletransfer"

# Commands with their help. The command `style-stats` is `style_stats` in commands/style_stats.py.
COMMANDS = {
    "stylize": "Repaint pictures in the style of others.",
    "video": "Repaint videos, animations and frames, steadily, with their sound.",
    "texture": "Make textures in the style of pictures, without a content.",
    "sheet": "Compare styles, or values of options, on one contact sheet.",
    "serve": "Serve a web page to play on, and an HTTP API.",
    "style-stats": "Measure styles once and save their statistics, which can be used as STYLE later.",
    "train": "Train a network end to end through its transfers.",
    "evaluate": "Score stylized pictures.",
    "spectrum": "Show the singular values of a network's convolutions.",
    "export": "Write a network as files that run without Python, checked against this program.",
    "models": "List, describe, verify and locate models.",
    "env": "Show versions, devices and folders for a bug report.",
    "completion": "Print a script that lets a shell complete commands and options.",
}


class Program(click.Group):
    """The group of all commands, which imports a command's module only when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names of the commands, the most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f".commands.{name}", __name__), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table above, because asking every command for its help would import them all."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command line and exit; every error becomes one line and an exit code here."""
        kwargs |= {"prog_name": NAME, "standalone_mode": False}
        try:
            code = super().main(*args, **kwargs)
        except (Exception, KeyboardInterrupt) as error:
            words = args[0] if args else kwargs.get("args")
            code = exit_code_of(error, sys.argv[1:] if words is None else words)
        sys.exit(code or 0)


@click.command(
    cls=Program,
    epilog=f"`{NAME} COMMAND --help` describes a command. "
    "Exit codes: 0 all done, 1 something failed, 2 usage, 3 weights, 4 out of memory, 130 Ctrl-C.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name=NAME)
def program() -> None:
    """Repaint any picture in the style of any other."""


def main() -> NoReturn:
    """Run the program as a process of its own."""
    signal.signal(signal.SIGTERM, _terminate)
    if not open_closed_streams():
        print_error("standard output is closed; redirect it to a file or to /dev/null")
        sys.exit(OptionError.exit_code)
    if hasattr(sys.stdout, "reconfigure"):
        # File names may hold any bytes, whatever the encoding of the terminal's locale is.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # warnings of libraries are for developers; -v shows them
    program.main()


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated

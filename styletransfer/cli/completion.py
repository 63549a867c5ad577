"""`styletransfer completion`: teach a shell the options of this program."""

from __future__ import annotations

from typing import Literal, get_args

import click

from .command import Command
from .report import Report

Shell = Literal["bash", "zsh", "fish"]


@click.command(
    cls=Command,
    epilog="""\b
    bash: eval "$(styletransfer completion bash)"      in ~/.bashrc
    zsh:  eval "$(styletransfer completion zsh)"       in ~/.zshrc
    fish: styletransfer completion fish | source       in ~/.config/fish/config.fish""",
)
@click.argument("shell", type=click.Choice(get_args(Shell)))
@click.pass_context
def completion(context: click.Context, shell: Shell) -> None:
    """Print the script that makes a shell complete this program's options."""
    from click.shell_completion import get_completion_class

    root = context.find_root()
    name = root.info_name or ""
    completer = get_completion_class(shell)
    assert completer is not None  # click has the three of them
    script = completer(root.command, {}, name, f"_{name.upper()}_COMPLETE").source()
    context.ensure_object(Report).product(script)

"""`styletransfer completion`: let a shell complete commands and options."""

from __future__ import annotations

from typing import Literal, get_args

import click

from ..configured_command import Command
from ..console import Console

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
    """Print a script that lets a shell complete commands and options."""
    from click.shell_completion import get_completion_class

    root = context.find_root()
    name = root.info_name or ""
    completer = get_completion_class(shell)
    assert completer is not None  # click supports all three shells
    script = completer(root.command, {}, name, f"_{name.upper()}_COMPLETE").source()
    context.ensure_object(Console).result(script)

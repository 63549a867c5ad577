"""Base classes of all commands, whose options can also be set by environment variables and a TOML file.

An option is taken from the command line, else from the variable STYLETRANSFER_<OPTION>, else from the TOML
file, else from its default. The file is that of --config, or `config.toml` in the platform's configuration
folder. Its tables are named like commands; keys before the first table hold for every command that has them.

    device = "cpu"

    [stylize]
    alpha = 0.8
    preserve-color = "luma"
"""

from __future__ import annotations

import difflib
import sys
import tomllib
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..errors import OptionError
from .console import Console

PREFIX = "STYLETRANSFER"


class Command(click.Command):
    """A command with -q and -v, whose callback receives the `Console` by `@click.pass_obj`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = {"show_default": True, **kwargs.get("context_settings", {})}
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_set_quiet,
                help="Write only results and errors.",
            ),
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_set_verbose,
                help="Write details, and errors with their traceback.",
            ),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the callback; with -v, write the traceback of an error before it becomes one line."""
        console = ctx.ensure_object(Console)
        if console.verbose and not sys.warnoptions:
            warnings.simplefilter("default")
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException):
            raise
        except Exception as error:
            console.traceback(error)
            raise


class ConfiguredCommand(Command):
    """A command whose options may also be set by environment variables and by a TOML file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["epilog"] = (
            f"Every option can also be set by a variable such as {PREFIX}_DEVICE=cpu or in a TOML file "
            "(see --config). The command line overrides the variable, and the variable the file."
        )
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--config"],
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                is_eager=True,
                expose_value=False,
                callback=_configure,
                show_default="config.toml in the folder that `styletransfer env` names, if it exists",
                metavar="FILE",
                help="TOML file with options: keys are long option names, tables are named like commands.",
            )
        )
        for option in self.list_options():
            option.envvar = f"{PREFIX}_{name_key(option).replace('-', '_').upper()}"

    def list_options(self) -> list[click.Option]:
        """List the options that may be set outside the command line."""
        return [option for option in self.params if isinstance(option, click.Option)]

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the options; an error names the variable or file that a wrong value came from."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.BadParameter as error:
            origin = _find_origin(error.ctx, error.param)
            if origin is None:
                raise
            message = f"{error.message} (it comes from {origin})"
            raise click.BadParameter(message, error.ctx, error.param) from error


def name_key(option: click.Option) -> str:
    """Return the long name of an option without its dashes, which is its key in TOML: "style-size"."""
    return max(option.opts, key=len).lstrip("-")


def list_keys(root: click.Context) -> Mapping[str, Mapping[str, str]]:
    """Return the keys in TOML files with the names of their parameters, for every configured command."""
    group = root.command
    assert isinstance(group, click.Group)
    commands = {name: group.get_command(root, name) for name in group.list_commands(root)}
    return {
        name: {name_key(option): option.name or "" for option in command.list_options()}
        for name, command in commands.items()
        if isinstance(command, ConfiguredCommand)
    }


def find_configuration() -> Path:
    """Return the path of the user's configuration file, which need not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("styletransfer", appauthor=False)) / "config.toml"


def read_configuration(
    path: Path, command: str, options: Mapping[str, Mapping[str, str]]
) -> dict[str, object]:
    """Read the values of a TOML file for a command.

    Args:
        path: The file.
        command: Name of the command that runs.
        options: The keys and the parameter names of every command that the file may configure, such as
            {"style-size": "style_size", "json": "as_json"}.

    Returns:
        The values by parameter name.

    Raises:
        OptionError: The file is not TOML, or has a table or a key that no command reads.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows puts a mark first
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"{path}: not a readable TOML file ({error})") from error
    shared = {key: value for key, value in document.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    for table in tables:
        _check_known(path, "table", table, options)
    known_anywhere = {name for names in options.values() for name in names}
    values: dict[str, object] = {}
    for key, value in _normalize(shared).items():
        _check_known(path, "key", key, known_anywhere)
        if key in options[command]:
            values[options[command][key]] = value
    for table, content in tables.items():
        for key, value in _normalize(content).items():
            _check_known(path, f"key of [{table}]", key, options[table])
            if table == command:
                values[options[command][key]] = value
    return values


def _configure(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    path = path or find_configuration()
    if context.resilient_parsing or not path.is_file():  # a shell asks for completions
        return
    keys = list_keys(context.find_root())
    options = {option.name: option for option in context.command.params}
    context.default_map = {
        name: _as_words(path, options[name], value)
        for name, value in read_configuration(path, context.info_name or "", keys).items()
    }
    context.meta[__name__] = path


def _as_words(path: Path, option: click.Parameter, value: object) -> str | list[str]:
    """Return a value of TOML as a command line would have it, so that the same types accept and refuse it.

    Python would make 64 pixels of 64.5, and an opacity of 1 of true.
    """
    values = value if isinstance(value, list) else [value]
    for each in values:
        if not isinstance(each, str | int | float):
            key = max(option.opts, key=len).lstrip("-")
            raise OptionError(f"{path}: {key} is neither a text nor a number", hint=f'write {key} = "..."')
    words = [str(each).lower() if isinstance(each, bool) else str(each) for each in values]
    return words if option.multiple else ",".join(words)


def _find_origin(context: click.Context | None, parameter: click.Parameter | None) -> str | None:
    if context is None or parameter is None or parameter.name is None:
        return None
    source = context.get_parameter_source(parameter.name)
    if source is ParameterSource.ENVIRONMENT:
        return str(parameter.envvar)
    return str(context.meta[__name__]) if source is ParameterSource.DEFAULT_MAP else None


def _set_quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.ensure_object(Console).quiet = value


def _set_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.ensure_object(Console).verbose = value


def _normalize(table: Mapping[str, object]) -> dict[str, object]:
    return {key.replace("_", "-"): value for key, value in table.items()}


def _check_known(path: Path, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0)
        raise OptionError(f"{path}: unknown {kind} {name!r}", hint=f"did you mean {nearest!r}?")

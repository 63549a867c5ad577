"""Options set outside the command line: by the user's TOML file and by environment variables.

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
import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from ..errors import OptionError, WeightsError

PREFIX = "STYLETRANSFER"


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
        document = tomllib.loads(path.read_text(encoding="utf-8"))
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


def find_style_folder() -> Path:
    """Return the folder in which --cache-styles keeps statistics, which need not exist and may be deleted."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("styletransfer", appauthor=False)) / "styles"


def find_weights_folder() -> Path | None:
    """Return the folder that STYLETRANSFER_WEIGHTS names, which is searched for models first.

    Raises:
        WeightsError: The folder does not exist.
    """
    text = os.environ.get(f"{PREFIX}_WEIGHTS")
    if not text:
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"{PREFIX}_WEIGHTS is {text}, which is not a folder", hint="correct or unset it")
    return folder


def _normalize(table: Mapping[str, object]) -> dict[str, object]:
    return {key.replace("_", "-"): value for key, value in table.items()}


def _check_known(path: Path, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0)
        raise OptionError(f"{path}: unknown {kind} {name!r}", hint=f"did you mean {nearest!r}?")

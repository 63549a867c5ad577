"""Values from outside the command line: the user's TOML file and the environment.

An option comes from the command line, else from the variable STYLETRANSFER_<OPTION>, else from the TOML
file, else from its default. The file is the one of --config, or `config.toml` in the platform's
configuration folder. Its tables are named like commands; what stands before the first table holds for
every command that knows it.

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
    """Return where the user's own configuration lies, whether there is one or not."""
    import platformdirs

    return Path(platformdirs.user_config_dir("styletransfer", appauthor=False)) / "config.toml"


def read_configuration(
    path: Path, command: str, options: Mapping[str, Mapping[str, str]]
) -> dict[str, object]:
    """Read the values that a TOML file has for a command.

    Args:
        path: The file.
        command: The command that runs.
        options: For every command that may stand in the file, the keys of its options and the names of
            its parameters, such as {"style-size": "style_size", "json": "as_json"}.

    Returns:
        Values by the name of the parameter.

    Raises:
        OptionError: The file is no TOML, or has a table or a key that nothing would read.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"{path}: no readable TOML ({error})") from error
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


def find_weights_folder() -> Path | None:
    """Return the folder that STYLETRANSFER_WEIGHTS names, to be searched for models first.

    Raises:
        WeightsError: There is no such folder.
    """
    text = os.environ.get(f"{PREFIX}_WEIGHTS")
    if not text:
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"{PREFIX}_WEIGHTS is {text}, which is no folder", hint="correct or unset it")
    return folder


def _normalize(table: Mapping[str, object]) -> dict[str, object]:
    return {key.replace("_", "-"): value for key, value in table.items()}


def _check_known(path: Path, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0)
        raise OptionError(f"{path}: unknown {kind} {name!r}", hint=f"did you mean {nearest!r}?")

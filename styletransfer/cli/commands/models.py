"""`styletransfer models`: list, describe, verify and locate models."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from ...errors import OutputExistsError, WeightsError
from ...options import DEFAULT_MODEL
from ..click_options import json_option
from ..configured_command import Command
from ..console import Console
from ..paths import find_weights_folder


@click.group()
def models() -> None:
    """List, describe, verify and locate models."""


@models.command(name="list", cls=Command)
@json_option
@click.pass_obj
def list_models(console: Console, as_json: bool) -> None:
    """List the models that --model knows by name, the default one first."""
    from ...model import available_models

    for entry in available_models():
        line = f"{entry.name}  {entry.bytes / 1e6:.1f} MB  {entry.license}  {entry.description}"
        console.result(json.dumps(asdict(entry)) if as_json else line)


@models.command(cls=Command)
@click.argument("name", default=DEFAULT_MODEL)
@json_option
@click.pass_obj
def info(console: Console, name: str, as_json: bool) -> None:
    """Describe a model and its training, by its NAME or the path of its weights."""
    from ...model import describe_weights, find_entry, is_weights_path

    facts = describe_weights(name) if is_weights_path(name) else asdict(find_entry(name))
    if as_json:
        console.result(json.dumps(facts))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        console.result(f"{key:{width}}  {value}")


@models.command(cls=Command)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write."
)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
@click.pass_obj
def export(console: Console, run: Path, output: Path, force: bool) -> None:
    """Copy the averaged model of a training RUN to a file for --model, which records its training."""
    from ...files import write_atomically
    from ...model import load_model
    from ...training.trainer import WEIGHTS

    if output.exists() and not force:
        raise OutputExistsError(f"{output}: exists already", hint="add --force to overwrite it")
    load_model(run / WEIGHTS)
    write_atomically(output, (run / WEIGHTS).read_bytes())
    console.result(str(output))


@models.command(cls=Command)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def verify(console: Console, names: tuple[str, ...]) -> int:
    """Compare the weights of models with the SHA-256 of their release; all models if none is named."""
    from ...model import available_models, verify_model

    folder = find_weights_folder()
    code = 0
    for name in names or [entry.name for entry in available_models()]:
        try:
            path = verify_model(name, weights_folder=folder)
        except WeightsError as error:
            console.error(str(error))
            code = error.exit_code
        else:
            console.result(f"{name}: intact ({path})")
    return code


@models.command(cls=Command)
@click.argument("name", default=DEFAULT_MODEL)
@click.pass_obj
def path(console: Console, name: str) -> None:
    """Print the path of the weights of a model."""
    from ...model import verify_model

    console.result(str(verify_model(name, weights_folder=find_weights_folder())))

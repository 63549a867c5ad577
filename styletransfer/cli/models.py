"""`styletransfer models`: which models there are, where they lie and whether they are intact."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..errors import WeightsError
from ..options import DEFAULT_MODEL
from .command import Command
from .configuration import find_weights_folder
from .parameters import json_option
from .report import Report


@click.group()
def models() -> None:
    """List, describe, verify and locate the models."""


@models.command(name="list", cls=Command)
@json_option
@click.pass_obj
def list_models(report: Report, as_json: bool) -> None:
    """List the models that --model knows by name, the default one first."""
    from ..model import available_models

    for entry in available_models():
        line = f"{entry.name}  {entry.bytes / 1e6:.1f} MB  {entry.licence}  {entry.description}"
        report.product(json.dumps(asdict(entry)) if as_json else line)


@models.command(cls=Command)
@click.argument("name", default=DEFAULT_MODEL)
@json_option
@click.pass_obj
def info(report: Report, name: str, as_json: bool) -> None:
    """Tell what a model is, what it was trained on and under which licence it comes."""
    from ..model import find_entry

    facts = asdict(find_entry(name))
    if as_json:
        report.product(json.dumps(facts))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        report.product(f"{key:{width}}  {value}")


@models.command(cls=Command)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def verify(report: Report, names: tuple[str, ...]) -> int:
    """Compare weights with the SHA-256 of their release; all models if none is named."""
    from ..model import available_models, verify_model

    folder = find_weights_folder()
    code = 0
    for name in names or [entry.name for entry in available_models()]:
        try:
            path = verify_model(name, weights_folder=folder)
        except WeightsError as error:
            report.error(str(error))
            code = error.exit_code
        else:
            report.product(f"{name}: intact ({path})")
    return code


@models.command(cls=Command)
@click.argument("name", default=DEFAULT_MODEL)
@click.pass_obj
def path(report: Report, name: str) -> None:
    """Print where the weights of a model lie."""
    from ..model import find_model

    report.product(str(find_model(name, weights_folder=find_weights_folder())))

"""`styletransfer export`: write a network as files that run without Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ...errors import OptionError
from ...options import ExportOptions, ProcessOptions
from ..click_options import build_options, dataclass_option, json_option, model_option, threads_option
from ..configured_command import ConfiguredCommand
from ..console import Console
from ..paths import decode_name, find_weights_folder
from ..thread_pool import set_threads


@click.command(cls=ConfiguredCommand)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="named after the model and the format, such as default-onnx",
    metavar="FOLDER",
    help="Folder of the files; it is created.",
)
@dataclass_option(ExportOptions, "format")
@model_option
@threads_option
@click.option("-f", "--force", is_flag=True, help="Overwrite files of an earlier export.")
@json_option
@click.pass_obj
def export(
    console: Console, /, output: Path | None, model: str, force: bool, as_json: bool, **values: Any
) -> None:
    """Write a network as files that run without Python, checked against this program.

    The folder gets style.onnx, which measures a style, content.onnx, which repaints a content with what was
    measured, README.md with an example of their use, and model.json, which describes them. Nothing is
    written unless the graphs make the pictures that this program makes.

    It needs `pip install 'styletransfer[export]'`.
    """
    options = build_options(ExportOptions, values)
    try:
        from ...export.onnx_export import check_folder, export_onnx
    except ModuleNotFoundError as error:
        if error.name not in {"onnx", "onnxruntime"}:
            raise
        hint = "run `pip install 'styletransfer[export]'`"
        raise OptionError("export needs onnx and onnxruntime", hint=hint) from error

    import torch

    from ...model import find_entry, is_weights_path, load_model

    path = Path(model)
    folder = output or Path(f"{path.stem}-{options.format}")
    check_folder(folder, force=force)
    set_threads(build_options(ProcessOptions, values))
    loaded = load_model(model, weights_folder=find_weights_folder())
    license_name = "that of the weights file" if is_weights_path(model) else find_entry(model).license
    console.note(f"model {decode_name(path)}: two graphs are built and compared with the program")
    with console.progress(1) as progress:
        description = export_onnx(
            loaded,
            path.stem,
            license_name,
            folder,
            threads=torch.get_num_threads(),
            progress=lambda share: progress.report(0, share),
        )
    difference = description["largest_difference"]
    console.note(f"largest difference to the program: {difference:.2g} levels of 255")
    console.result(json.dumps({"output": str(folder), **description}) if as_json else str(folder))

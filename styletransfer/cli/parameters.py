"""The options that several commands share."""

from __future__ import annotations

import click

from ..options import DEFAULT_MODEL, OutputOptions, RuntimeOptions, StylizeOptions
from .fields import chain, field_option

model_option = click.option(
    "-m",
    "--model",
    default=DEFAULT_MODEL,
    metavar="NAME|PATH",
    help="Name of a model, see `styletransfer models list`, or a .safetensors file.",
)

device_option = field_option(
    RuntimeOptions, "device", metavar="auto|cpu|cuda[:N]|mps", help="Where to compute."
)
threads_option = field_option(
    RuntimeOptions, "threads", none="auto", metavar="N|auto", help="Processor threads."
)
runtime_options = chain(
    device_option,
    field_option(RuntimeOptions, "precision"),
    threads_option,
    field_option(RuntimeOptions, "seed", metavar="N", help="Of the random number generators."),
    field_option(
        RuntimeOptions,
        "tile",
        none="auto",
        metavar="auto|N|0",
        help="Rows worked on at a time, 0 for all; the result is the same.",
    ),
    field_option(
        RuntimeOptions,
        "max_memory",
        none="auto",
        metavar="2G|auto",
        help="What pictures may take, beside the program itself; less memory, more time.",
    ),
)

style_size_option = field_option(
    StylizeOptions,
    "style_size",
    none="auto",
    metavar="N|auto",
    help="Long edge to which larger styles are reduced: the smaller, the finer the strokes. Auto is 1024, "
    "and 512 where strokes are enlarged.",
)

stroke_scale_option = field_option(
    StylizeOptions,
    "stroke_scale",
    none="auto",
    metavar="K|auto",
    help="Strokes K times as large: a copy K times smaller is painted first and the picture over it. Auto "
    "enlarges them from 1024 pixels on, so that the copy has at least 512; 8 times at most.",
)

cache_option = click.option(
    "--cache-styles",
    is_flag=True,
    help="Keep the statistics of styles, in the folder that `env` names, and use those kept before.",
)

existing_options = chain(
    field_option(
        OutputOptions,
        "if_exists",
        show_default="error for one result; skip for several, so that a stopped run resumes",
        help="What to do about an output that is there.",
    ),
    click.option("-f", "--force", is_flag=True, help="Short for --if-exists overwrite."),
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON object a line instead of text."
)

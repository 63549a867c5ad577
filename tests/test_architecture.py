"""The layers of CONTRIBUTING.md and the habits of the code, enforced."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import median

import click
import pytest

from styletransfer.cli import program

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "styletransfer"

# The other parts of the package that each part may import.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "options": {"errors"},
    "files": {"errors"},
    "tar_archive": {"errors"},
    "linalg": set(),
    "spectrum": {"linalg"},
    "media": {"files", "errors"},
    "transfer": {"linalg"},
    "model": {"transfer", "linalg", "options", "files", "errors"},
    "refinement": {"model", "transfer", "linalg"},
    "pipeline": {"refinement", "model", "transfer", "linalg", "options", "errors"},
    "photorealistic": {"pipeline", "refinement", "model", "transfer", "linalg", "options", "errors"},
    "training": {
        *("model", "transfer", "linalg", "spectrum", "media", "options", "files", "tar_archive", "errors"),
    },
    "evaluation": {"pipeline", "model", "transfer", "linalg", "media", "options", "errors"},
    "picture_conversion": {"media", "errors"},
    "region_maps": {"picture_conversion", "transfer", "media", "options", "errors"},
    "style_measurer": {
        *("picture_conversion", "region_maps", "pipeline", "model", "transfer", "media", "options", "errors"),
    },
    "color_grading": {
        *("picture_conversion", "style_measurer", "pipeline", "model", "transfer", "linalg", "media"),
        *("options", "errors"),
    },
    "tensor_stylizer": {
        *("picture_conversion", "region_maps", "style_measurer", "color_grading", "refinement", "pipeline"),
        *("model", "media", "options", "errors"),
    },
    "temporal": {
        *("picture_conversion", "region_maps", "style_measurer", "color_grading", "tensor_stylizer"),
        *("pipeline", "model", "transfer", "linalg", "media", "options", "errors"),
    },
    "api": {
        *("picture_conversion", "region_maps", "style_measurer", "color_grading", "tensor_stylizer"),
        *("temporal", "photorealistic", "pipeline", "model", "media", "options", "errors"),
    },
    "texture": {
        *("api", "picture_conversion", "style_measurer", "pipeline", "model", "transfer", "media", "options"),
        "errors",
    },
    "result_metadata": {"api", "media", "options"},
    "video": {"temporal", "api", "region_maps", "media", "options", "files", "errors"},
    "page": {
        *("result_metadata", "api", "region_maps", "style_measurer", "model", "media", "options", "errors"),
    },
    "export": {"pipeline", "model", "transfer", "media", "options", "files", "errors"},
    "cluster": {"style_measurer", "model", "errors"},
    "cli": {
        "cluster",
        "export",
        "page",
        "video",
        "result_metadata",
        "api",
        "region_maps",
        "texture",
        "style_measurer",
        "temporal",
        "training",
        "evaluation",
        "pipeline",
        "model",
        "spectrum",
        "media",
        "options",
        "files",
        "tar_archive",
        "errors",
    },
}

# Third-party packages that only some parts may import.
GUARDED: dict[str, set[str]] = {
    "click": {"cli"},
    "tqdm": {"cli"},
    "PIL": {"media", "video"},
    "tifffile": {"media"},
    "imagecodecs": {"media"},
    "torchvision": {"model"},
    "platformdirs": {"cli"},
    "matplotlib": {"cli"},
    "av": {"video"},
    "cv2": {"temporal"},
    "starlette": {"page"},
    "uvicorn": {"page"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "ray": {"cluster"},
    "pyarrow": {"cluster"},
}

# Parts that are loaded for `--help` and must not import torch.
TORCH_FREE = {"errors", "options", "result_metadata", "cli", "__init__"}

# Names that say nothing to a reader who knows the field.
PET_NAMES = {
    *("crew", "once", "batch", "painter", "examiner", "candidates", "fields", "parameters", "failures"),
    *("networks", "zoo", "places", "guards", "semidefinite", "rows", "arithmetic", "coloring", "reduction"),
    *("shoulder", "deep_samples", "uncommon_tiff", "channels", "beginnings", "records", "caps", "processes"),
    *("packets", "survey", "torus", "twisted", "gains", "classical", "maps", "layers", "thumbnail"),
    *("schedule", "utils", "helpers", "common", "misc"),
}
# A new subject may add files, as video, photographs, clusters and ONNX did. It may not break the package into
# fragments: see the median.
MOST_FILES, MOST_FILES_IN_A_FOLDER, MOST_LINES, LEAST_MEDIAN = 210, 14, 400, 100


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    return ".".join(("styletransfer", *path.relative_to(PACKAGE).with_suffix("").parts))


def imports_of(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Yield the dotted absolute names that a module imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    package = ("styletransfer", *path.relative_to(PACKAGE).parent.parts)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else ())))
            yield module
            if node.level and not node.module:
                yield from (f"{module}.{alias.name}" for alias in node.names)


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_the_layers(path: Path) -> None:
    part = part_of(path)
    for name in imports_of(path):
        root, *rest = name.split(".")
        if root == "styletransfer":
            target = rest[0] if rest else "__init__"
            if part in {"__init__", "__main__"} or target in {part, "__init__"}:
                continue
            assert target in ALLOWED[part], f"{part} may not import {target} ({name})"
        elif root in GUARDED:
            assert part in GUARDED[root], f"{part} may not import {root}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_help_path_is_free_of_torch(path: Path) -> None:
    if part_of(path) in TORCH_FREE:
        heavy = {"torch", "torchvision", "numpy", "PIL", "safetensors"}
        assert not heavy & {name.split(".")[0] for name in imports_of(path, top_level_only=True)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints_exits_and_reads_the_environment(path: Path) -> None:
    if part_of(path) in {"cli", "__main__"}:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "exit", "sys.exit", "os._exit", "os.getenv"}, called
        elif isinstance(node, ast.Attribute):
            assert ast.unparse(node) != "os.environ"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_package_and_its_folders_are_small() -> None:
    assert len(MODULES) <= MOST_FILES
    assert median(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES) >= LEAST_MEDIAN
    for folder in {path.parent for path in MODULES}:
        assert len(list(folder.glob("*.py"))) <= MOST_FILES_IN_A_FOLDER, folder


def test_modules_have_names_that_the_field_knows() -> None:
    assert not PET_NAMES & {path.stem for path in MODULES}


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    names = {module_name(path) for path in MODULES}
    for path in MODULES:
        name = module_name(path)
        graph[name] = {target for target in imports_of(path, top_level_only=True) if target in names} - {name}
    while leaves := {name for name, targets in graph.items() if not targets & graph.keys()}:
        graph = {name: targets for name, targets in graph.items() if name not in leaves}
    assert not graph, "a cycle of imports"


def test_every_imported_package_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = chain.from_iterable(declared["optional-dependencies"].values())
    distributions = {re.split(r"[<>=\[ ]", each)[0].lower() for each in (*declared["dependencies"], *extras)}
    packages = {"pillow": "PIL", "pillow-heif": "pillow_heif", "opencv-python-headless": "cv2"}
    known = {packages.get(each, each) for each in distributions} | set(sys.stdlib_module_names)
    for path in MODULES:
        roots = {name.split(".")[0] for name in imports_of(path)} - {"styletransfer", ""}
        assert roots <= known, (path, roots - known)


def all_options() -> Iterator[tuple[str, click.Option]]:
    """Yield every option of every command with the command's name."""
    context = click.Context(program)
    commands = [(name, program.get_command(context, name)) for name in program.list_commands(context)]
    while commands:
        name, command = commands.pop()
        if isinstance(command, click.Group):
            commands += [(f"{name} {each}", command.commands[each]) for each in command.commands]
        if command is not None:
            yield from ((name, each) for each in command.params if isinstance(each, click.Option))


@pytest.mark.parametrize(
    "option", [pytest.param(option, id=f"{name} {option.opts[-1]}") for name, option in all_options()]
)
def test_help_is_a_sentence(option: click.Option) -> None:
    assert option.help
    assert option.help[0].isupper() or option.help[0].isdigit()
    assert option.help.endswith(".")
    assert not option.help.startswith(("Of ", "That ", "Those ", "By "))


DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_documents_are_short(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) >= 110] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_descriptions_of_arguments_are_no_riddles(path: Path) -> None:
    found = re.findall(r"^ +\w+: ((?:Of|That|Those|By) .*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not found

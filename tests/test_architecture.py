"""The layers of CONTRIBUTING.md, enforced: a module imports only what its layer may know."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "styletransfer"

# What each part of the package may import from the rest of it.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "options": {"errors"},
    "files": {"errors"},
    "linalg": set(),
    "spectrum": {"linalg"},
    "media": {"files", "errors"},
    "transfer": {"linalg"},
    "model": {"transfer", "linalg", "options", "errors"},
    "pipeline": {"model", "transfer", "linalg", "options", "errors"},
    "training": {"model", "transfer", "linalg", "spectrum", "media", "options", "errors"},
    "evaluation": {"pipeline", "model", "transfer", "linalg", "media", "options", "errors"},
    "api": {"pipeline", "model", "media", "options", "errors"},
    "cli": {
        "api",
        "training",
        "evaluation",
        "pipeline",
        "model",
        "spectrum",
        "media",
        "options",
        "files",
        "errors",
    },
}

# Third-party packages that only some parts may touch; the standard library is free to all.
GUARDED: dict[str, set[str]] = {
    "click": {"cli"},
    "tqdm": {"cli"},
    "PIL": {"media"},
    "tifffile": {"media"},
    "imagecodecs": {"media"},
    "torchvision": {"model"},
    "platformdirs": {"cli", "model"},
    "matplotlib": {"cli", "evaluation"},
}

# Parts that `--help` passes through: torch must not be imported while they load.
TORCH_FREE = {"errors", "options", "cli", "__init__"}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


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
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500

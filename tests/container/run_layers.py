"""Run the commands of the Dockerfile in a fresh folder, then what it starts and its health check.

    python -m tests.container.run_layers TORCH_INDEX=https://pypi.org/simple

No image is built: the base image is this machine and its Python, all stages share one folder, the user is not
made, and pip may use its cache.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .dockerfile import ROOT, Instruction, is_sent, read_instructions

SECONDS_TO_START = 60


class Layers:
    """The folder in which the commands run.

    Args:
        root: An empty folder, which stands for the root of the image.
        arguments: Build arguments such as TORCH_INDEX.
    """

    def __init__(self, root: Path, arguments: dict[str, str]) -> None:
        self.root = root
        self.arguments = arguments
        binaries = root / "host"
        binaries.mkdir()
        (binaries / "python").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
        self.environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
        self.environment.pop("PYTHONPATH", None)
        self.started: dict[str, list[str]] = {}

    def apply(self, instruction: Instruction) -> None:
        """Do what an instruction of the Dockerfile says."""
        name, rest = instruction
        if name == "ARG":
            variable, _, default = rest.partition("=")
            self.environment[variable] = self.arguments.get(variable, default)
        elif name == "ENV":
            variable, _, value = self.move(rest).partition("=")
            self.environment[variable] = value.replace("$PATH", self.environment["PATH"])
        elif name == "COPY" and not rest.startswith("--from="):
            *sources, target = shlex.split(rest)
            for source in sources:
                self.copy(ROOT / source, target)
        elif name == "RUN" and not rest.startswith("useradd"):
            self.run(self.move(rest).replace("--no-cache-dir ", ""))
        elif name in {"ENTRYPOINT", "CMD"}:
            self.started[name] = json.loads(rest)
        elif name == "HEALTHCHECK":
            self.started[name] = shlex.split(rest.partition("CMD ")[2])

    def move(self, command: str) -> str:
        """Replace the absolute paths of the image by those below the folder."""
        return re.sub(r"(?<![\w/.])/(?=opt|source)", f"{self.root}/", command)

    def copy(self, source: Path, target: str) -> None:
        """Copy a file or a folder as the build does, without what .dockerignore names."""
        into = self.root / target.lstrip("/")
        for path in (source, *source.rglob("*")):
            if path.is_file() and is_sent(path):
                end = into / path.relative_to(source) if source.is_dir() else into / path.name
                end.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, end)

    def run(self, command: str) -> None:
        """Run a command of a layer and say how long it took."""
        print(f"RUN {command}", flush=True)
        began = time.monotonic()
        subprocess.run(["sh", "-ec", command], env=self.environment, cwd=self.root, check=True)
        print(f"    {time.monotonic() - began:.0f} s", flush=True)

    def start(self) -> None:
        """Start what the image starts, check its health, and end it."""
        words = [*self.started["ENTRYPOINT"], *self.started["CMD"], "--port", "0"]
        folder = self.root / "pictures"
        folder.mkdir()
        with subprocess.Popen(
            words, env=self.environment, cwd=folder, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            port = address.rpartition(":")[2].partition("/")[0]
            check = [word.replace(":8000", f":{port}") for word in self.started["HEALTHCHECK"]]
            healthy = subprocess.run(check, env=self.environment, cwd=folder, check=False).returncode
            server.send_signal(signal.SIGTERM)
            code = server.wait(SECONDS_TO_START)
        assert "#token=" in address, address
        assert healthy == 0, "the health check fails"
        assert code == 143, f"SIGTERM ends it with {code}"
        assert not list(folder.iterdir())
        print("the page starts, is healthy and ends with SIGTERM")

    def measure(self) -> None:
        """Print the sizes of what the image holds beside the base image."""
        installed = {"all": 0, "PyTorch and what it needs of NVIDIA": 0}
        for path in (self.root / "opt").rglob("*"):
            if path.is_file() and not path.is_symlink():
                size = path.stat().st_size
                installed["all"] += size
                if re.search(r"site-packages/(torch|nvidia|triton|cuda)", str(path)):
                    installed["PyTorch and what it needs of NVIDIA"] += size
        for name, size in installed.items():
            print(f"{name}: {size / 1e6:.0f} MB")


def main() -> None:
    """Run all layers."""
    arguments = dict(word.split("=", 1) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        layers = Layers(Path(folder).resolve(), arguments)
        for instruction in read_instructions():
            layers.apply(instruction)
        layers.start()
        layers.measure()


if __name__ == "__main__":
    main()

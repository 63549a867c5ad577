"""The documentation site builds without a warning, and every link in it leads somewhere."""

from __future__ import annotations

import inspect
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from styletransfer.cli import COMMANDS

from .shown_commands import DOCUMENTS, ROOT

pytest.importorskip("sphinx", reason="needs `pip install --group docs`")
pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """The links of a page, what it loads, and the places in it that links may lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attributes if value}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        if "href" in values:
            (self.links if tag == "a" else self.loaded).add(values["href"])
        if "src" in values:
            self.loaded.add(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    folder = tmp_path_factory.mktemp("site")
    words = ["-W", "--keep-going", "-q", "-E", "-d", str(folder / "doctrees"), "-c", "docs", "."]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return {path.resolve(): Page(path) for path in (folder / "html").rglob("*.html")}


def test_every_link_leads_somewhere(site: dict[Path, Page]) -> None:
    broken = []
    for path, page in site.items():
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme in {"http", "https", "mailto", "data"}:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.exists() or (target in site and place and place not in site[target].places):
                broken.append((path.name, link))
    assert broken == []


def test_pages_load_nothing_from_elsewhere(site: dict[Path, Page]) -> None:
    assert [each for page in site.values() for each in page.loaded if urlsplit(each).netloc] == []


def test_every_document_is_a_page(site: dict[Path, Page]) -> None:
    root = min(site, key=lambda path: len(path.parts)).parent
    for document in DOCUMENTS:
        assert (root / document.relative_to(ROOT)).with_suffix(".html") in site, document


def test_every_command_and_public_name_is_described(site: dict[Path, Page]) -> None:
    import styletransfer
    from styletransfer import linalg, spectrum

    places = set().union(*(page.places for page in site.values()))
    assert {f"styletransfer-{command}" for command in COMMANDS} <= places
    for module in (styletransfer, linalg, spectrum):
        for name in module.__all__:
            if not inspect.isroutine(value := getattr(module, name)) and not inspect.isclass(value):
                continue  # the version, and names of types
            assert any(place.endswith(f".{name}") for place in places), name

"""axe-core finds nothing on the page: light and dark, on a desk and on a phone, with all parts open."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import Server

VERSION = "4.14.1"
SECTIONS = ("mask-section", "more", "command-section")
SCREENS = {"desk": (1000, 700), "phone": (390, 844)}


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core, which npm fetches into a folder that is deleted again."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, for axe-core")
    folder = tmp_path_factory.mktemp("axe")
    words = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    try:
        done = subprocess.run([*words, f"axe-core@{VERSION}"], capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not reach its registry")
    if done.returncode:
        pytest.skip("npm cannot fetch axe-core")
    return Path(folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def find_violations(page: Any, axe: str) -> list[str]:
    """Return one line for every rule and element that axe-core complains about."""
    page.evaluate(axe)
    found = page.evaluate(
        """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations.flatMap(
             (rule) => rule.nodes.map((node) => `${rule.id}: ${node.html} ${node.failureSummary}`))"""
    )
    return list(found)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_found(browser: Any, server: Server, axe: str, scheme: str, screen: str) -> None:
    width, height = SCREENS[screen]
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": height}, bypass_csp=True
    )
    page = context.new_page()
    page.goto(server.url)
    page.locator("#after[src]").wait_for()
    assert find_violations(page, axe) == []
    for section in SECTIONS:
        page.locator(f"#{section}").evaluate("each => { each.open = true; }")
    page.locator("body:not([data-busy])").wait_for()
    assert find_violations(page, axe) == []
    context.close()


def test_a_fault_is_found(browser: Any, server: Server, axe: str) -> None:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(server.url)
    page.locator("#after[src]").wait_for()
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    page.evaluate("document.querySelector('h1, h2, p, label').style.color = '#888'")
    found = {line.partition(":")[0] for line in find_violations(page, axe)}
    assert found == {"button-name", "color-contrast"}
    context.close()

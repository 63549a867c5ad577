"""The page of `sheet` in a browser: keyboard, viewer, comparison, copying, narrow and dark screens.

It needs the package playwright and a Chromium of the system, which the project does not install.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run
from .pictures import write_content

HOLD = 400  # milliseconds, longer than a press that latches


@pytest.fixture
def sheet(run: Run) -> str:
    """Make a page of two contents in three styles, of which one cannot be read, and return its address."""
    for seed in range(2):
        write_content(Path(f"in/{seed}.png"), (300, 200), seed=seed)
    for seed in range(3):
        write_content(Path(f"art/{seed}.png"), (40, 40), seed=10 + seed)
    Path("art/1.png").write_bytes(b"nothing")
    assert run("sheet", "in", "art", "-o", "sheet.html", "--cell", "200", "-q").exit_code == 1
    return Path("sheet.html").resolve().as_uri()


@pytest.fixture
def page(browser: Any, sheet: str) -> Iterator[Any]:
    """Open the page; at the end, it has reported no error and has loaded nothing but itself."""
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    opened = context.new_page()
    messages: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("pageerror", lambda error: messages.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(sheet)
    yield opened
    context.close()
    assert messages == []
    assert [each for each in requests if not each.startswith("data:")] == [sheet]


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id"))


def shown(page: Any) -> str:
    """Return the text of the picture that the viewer shows."""
    (visible,) = [
        each.get_attribute("alt") for each in page.locator("#viewer .stage img").all() if each.is_visible()
    ]
    assert page.locator("#viewer-label").inner_text().startswith(visible)
    return str(visible)


def test_arrows_move_between_pictures_and_pass_over_empty_cells(page: Any) -> None:
    page.keyboard.press("Tab")
    assert focused(page) == "result-0-0"
    for key, expected in [
        ("ArrowRight", "result-0-2"),
        ("ArrowRight", "result-0-2"),
        ("ArrowDown", "result-1-2"),
        ("ArrowLeft", "result-1-0"),
        ("ArrowUp", "result-0-0"),
    ]:
        page.keyboard.press(key)
        assert focused(page) == expected
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_the_viewer_opens_moves_and_closes_by_keyboard(page: Any) -> None:
    page.locator("#result-0-0").focus()
    page.keyboard.press("Enter")
    assert page.locator("#viewer").is_visible()
    assert shown(page) == "0 in 0"
    assert page.evaluate("document.getElementById('viewer-result').naturalWidth") == 300  # the large one
    page.keyboard.press("ArrowRight")
    assert shown(page) == "0 in 2"
    assert page.locator("#viewer-command").inner_text() == page.locator("#command-0-2").text_content()
    for turn, expected in [("#next", "1 in 0"), ("#next", "1 in 2"), ("#next", "0 in 0")]:
        page.locator(turn).click()
        assert shown(page) == expected
    page.locator("#previous").click()
    page.locator("#previous").press("ArrowLeft")
    assert shown(page) == "1 in 0"
    assert page.locator("#viewer").evaluate("each => each.contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    page.locator("#result-1-0:focus").wait_for()  # the event of closing comes later


def test_the_space_bar_compares_with_the_content(page: Any) -> None:
    page.locator("#result-1-0").click()
    page.keyboard.down(" ")
    assert shown(page) == "The content of 1 in 0"
    page.wait_for_timeout(HOLD)
    page.keyboard.up(" ")
    assert shown(page) == "1 in 0"
    page.keyboard.press(" ")  # a short press stays, until the next one
    assert shown(page) == "The content of 1 in 0"
    page.keyboard.press(" ")
    page.wait_for_timeout(HOLD)
    assert shown(page) == "1 in 0"


def test_the_compare_button_can_be_held_and_pressed(page: Any) -> None:
    page.locator("#result-1-0").click()
    compare = page.locator("#compare")
    compare.hover()
    page.mouse.down()
    assert shown(page) == "The content of 1 in 0"
    assert compare.get_attribute("aria-pressed") == "true"
    page.wait_for_timeout(HOLD)
    page.mouse.up()
    assert (shown(page), compare.get_attribute("aria-pressed")) == ("1 in 0", "false")
    compare.focus()
    page.keyboard.press("Enter")
    assert shown(page) == "The content of 1 in 0"


def test_space_still_presses_the_other_buttons(page: Any) -> None:
    page.locator("#result-0-0").click()
    page.locator("#close").focus()
    page.keyboard.press(" ")
    assert not page.locator("#viewer").is_visible()


def test_a_command_can_be_copied(page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("summary").first.click()
    page.locator("details .copy").first.click()
    page.get_by_text("Copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#command-0-0").inner_text()
    assert "copied" in page.locator("#status").inner_text()


def test_without_a_clipboard_the_command_is_selected(page: Any) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.locator("#result-0-2").click()
    page.locator("#viewer .copy").click()
    assert page.evaluate("getSelection().toString()") == page.locator("#viewer-command").inner_text()


def test_narrow_screens_scroll_only_the_table(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#result-0-0").click()
    boxes = [each.bounding_box() for each in page.locator("#viewer button, #viewer-result").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)


def test_the_page_is_dark_where_the_system_is(page: Any) -> None:
    colors = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colors.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert colors == ["rgb(250, 250, 248)", "rgb(22, 22, 21)"]

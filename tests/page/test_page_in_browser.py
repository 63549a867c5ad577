"""The page in a browser: files, sliders, mask, full results, downloads, keyboard, narrow and dark screens.

It needs the package playwright and a Chromium of the system, which the project does not install.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.pictures import write_content

from .conftest import Server
from .test_renders import run_command

DROP = """async ([id, files]) => {
  const transfer = new DataTransfer();
  for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
  const target = document.getElementById(id);
  for (const type of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


class Page:
    """An open page with what it has asked for."""

    def __init__(self, page: Any, server: Server, folder: Path) -> None:
        self.page, self.server, self.folder = page, server, folder
        self.messages: list[str] = []
        self.requests: list[Any] = []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request))
        page.goto(server.url)
        self.rest()

    def rest(self) -> None:
        """Wait until the last change is shown."""
        self.page.locator("#after[src]").wait_for()
        self.page.locator("body:not([data-busy])").wait_for()

    def asked(self) -> list[dict[str, Any]]:
        """Return what was asked of /stylize."""
        posts = [each for each in self.requests if each.method == "POST" and each.url.endswith("/stylize")]
        return [json.loads(each.post_data) for each in posts]

    def uploads(self) -> list[str]:
        return [each.url for each in self.requests if each.method == "POST" and "/pictures?" in each.url]

    def live(self) -> list[dict[str, Any]]:
        return [each for each in self.asked() if each.get("preview") == 384]

    def drop(self, target: str, *paths: Path) -> None:
        files = [(path.name, list(path.read_bytes())) for path in paths]
        self.page.evaluate(DROP, [target, files])
        self.page.locator(f"#contents button[title='{paths[0].name}'][aria-pressed=true]").wait_for()
        for path in paths[1:]:
            self.page.locator(f"#styles button[title='{path.name}'][aria-pressed=true]").wait_for()
        self.rest()

    def set(self, name: str, value: float) -> None:
        self.page.locator(f"#option-{name}").evaluate(
            "(each, value) => { each.value = value; each.dispatchEvent(new Event('input')); "
            "each.dispatchEvent(new Event('change')); }",
            value,
        )

    def command(self) -> str:
        """Return the command line once it no longer changes."""
        self.page.wait_for_timeout(400)
        self.page.locator("#command-section").evaluate("each => { each.open = true; }")
        return str(self.page.locator("#command").inner_text())

    def download(self) -> bytes:
        with self.page.expect_download() as waiting:
            self.page.locator("#download").click()
        self.name = waiting.value.suggested_filename
        return Path(waiting.value.path()).read_bytes()


@pytest.fixture
def opened(browser: Any, server: Server, tmp_path: Path) -> Iterator[Page]:
    """Open the page; at the end, it has reported no error and has asked no other server."""
    context = browser.new_context(viewport={"width": 1000, "height": 700}, bypass_csp=False)
    page = Page(context.new_page(), server, tmp_path)
    yield page
    context.close()
    # A browser notes what was canceled.
    assert [each for each in page.messages if "409" not in each] == []
    assert all(each.url.startswith((server.url, "blob:")) for each in page.requests)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_content(tmp_path / "in/cat.png", (90, 60)), write_content(
        tmp_path / "in/sea.png", (40, 40), seed=1
    )


def test_two_dropped_files_are_picture_and_style(opened: Page, files: tuple[Path, Path], model: str) -> None:
    opened.drop("drop-content", *files)
    opened.set("alpha", 0.5)
    opened.rest()
    assert opened.live()[-1]["options"] == {"alpha": 0.5}
    command = opened.command()
    assert command == f"styletransfer stylize cat.png sea.png --alpha 0.5 --model {model}"
    assert opened.download() == run_command(command, files[0].parent)
    assert opened.name == "cat_sea.png"


def test_a_pasted_picture_is_the_content_or_a_style(opened: Page, files: tuple[Path, Path]) -> None:
    paste = """(bytes) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
      const event = new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
      document.activeElement.dispatchEvent(event);
    }"""
    opened.page.evaluate(paste, list(files[0].read_bytes()))
    opened.page.locator("#contents button[title='pasted.png'][aria-pressed=true]").wait_for()
    opened.page.locator("#styles button[title='ink.jpg']").focus()
    opened.page.evaluate(paste, list(files[1].read_bytes()))
    opened.page.locator("#styles button[title='pasted.png'][aria-pressed=true]").wait_for()
    opened.rest()


def test_every_format_is_that_of_the_command_line(opened: Page, files: tuple[Path, Path]) -> None:
    opened.drop("drop-content", *files)
    for form in ("jpeg 8", "webp 8", "tiff 16"):
        opened.page.locator("#format").select_option(form)
        command = opened.command()
        assert opened.download() == run_command(command, files[0].parent)
        assert f"-o {opened.name}" in command


def test_previews_end_on_the_last_value_of_a_slider(opened: Page) -> None:
    alpha = opened.page.locator("#option-alpha")
    box = alpha.bounding_box()
    before = len(opened.live())
    y = box["y"] + box["height"] / 2
    opened.page.mouse.move(box["x"] + box["width"] - 8, y)
    opened.page.mouse.down()
    for step in range(40):
        opened.page.mouse.move(box["x"] + box["width"] - 8 - 5 * step, y)
    opened.page.mouse.up()
    opened.rest()
    values = [each["options"].get("alpha", 1) for each in opened.live()[before:]]
    assert values[-1] == float(alpha.input_value()) < 0.5
    assert values == sorted(values, reverse=True)
    assert 1 < len(values) <= 40


def test_a_failed_preview_does_not_end_them(opened: Page) -> None:
    opened.page.route("**/stylize", lambda route: route.abort())
    opened.set("alpha", 0.3)
    opened.page.locator("#status.error").wait_for()
    opened.page.unroute("**/stylize")
    opened.messages.clear()
    opened.set("alpha", 0.4)
    opened.rest()
    opened.page.locator("#status:not(.error)").wait_for()
    assert opened.live()[-1]["options"] == {"alpha": 0.4}


def test_pictures_that_the_server_forgot_are_sent_again(opened: Page) -> None:
    forgotten: list[dict[str, Any]] = []

    def forget(route: Any) -> None:
        """Change the first preview; a sharper one of the change before, which is canceled, may come first."""
        body = json.loads(route.request.post_data)
        if not forgotten and body.get("preview") == 384 and body["options"] == {"alpha": 0.3}:
            forgotten.append(body)
            body["content"] = "forgotten"
        route.continue_(post_data=json.dumps(body))

    before = len(opened.uploads())
    opened.page.route("**/stylize", forget)
    opened.set("alpha", 0.3)
    opened.rest()
    opened.page.locator("#status:not(.error)").wait_for()
    assert len(opened.uploads()) == before + 2  # the picture and its style
    opened.messages.clear()  # of the browser, about the 404


def test_a_painted_mask_is_used_and_saved(opened: Page, files: tuple[Path, Path]) -> None:
    opened.drop("drop-content", *files)
    opened.page.locator("#mask-section summary").click()
    box = opened.page.locator("#mask").bounding_box()
    opened.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"], steps=5)
    opened.page.mouse.up()
    opened.rest()
    assert len(opened.live()[-1]["masks"]) == 1
    with opened.page.expect_download() as waiting:
        opened.page.locator("#mask-save").click()
    waiting.value.save_as(files[0].parent / waiting.value.suggested_filename)
    command = opened.command()
    assert "--mask mask.png" in command
    assert opened.download() == run_command(command, files[0].parent)
    opened.page.locator("#mask-undo").click()
    opened.rest()
    assert opened.live()[-1]["masks"] == []


def test_an_uploaded_mask_goes_to_the_server_as_it_is(opened: Page, files: tuple[Path, Path]) -> None:
    opened.drop("drop-content", *files)
    shape = write_content(files[0].parent / "shape.png", (20, 10), seed=5)
    opened.page.locator("#mask-section summary").click()
    opened.page.locator("#mask-file").set_input_files(shape)
    opened.rest()
    command = opened.command()
    assert "--mask shape.png" in command
    assert opened.download() == run_command(command, files[0].parent)


def test_each_style_can_have_a_mask(opened: Page, files: tuple[Path, Path]) -> None:
    opened.drop("drop-content", *files)
    opened.page.locator("#blend").click()
    opened.page.locator("#styles button[title='ink.jpg']").click()
    opened.page.locator("#styles button[title='ink.jpg'][aria-pressed=true]").wait_for()
    opened.rest()
    assert opened.live()[-1]["options"]["style_weights"] == [1, 1]
    opened.set("weight-1", 0.25)
    opened.rest()
    assert opened.live()[-1]["options"]["style_weights"] == [1, 0.25]
    opened.page.locator("#mask-section summary").click()
    opened.page.locator("#mask-each").check()
    opened.page.locator("#mask-layers label").nth(1).click()
    opened.page.locator("#mask").click()
    opened.rest()
    assert len(opened.live()[-1]["masks"]) == 2
    assert "style_weights" not in opened.live()[-1]["options"]


def test_a_render_can_be_canceled_and_made_again(opened: Page) -> None:
    opened.page.locator("#more summary").click()
    opened.page.locator("#option-size").fill("2700")
    opened.page.locator("#option-size").press("Tab")
    opened.rest()
    opened.page.locator("#render").click()
    opened.page.get_by_text("left", exact=False).locator("visible=true").first.wait_for()
    assert opened.page.locator("#progress").evaluate("each => each.value") > 0
    opened.page.locator("#cancel").click()
    opened.page.get_by_text("Canceled").wait_for()
    assert [each.method for each in opened.requests if "/renders/" in each.url][-1] == "DELETE"
    assert not opened.page.locator("#progress-row").is_visible()
    opened.page.locator("#option-size").fill("700")
    opened.page.locator("#option-size").press("Tab")
    opened.page.locator("#render").click()
    opened.page.get_by_text("Full size, 700 × 466").wait_for()
    assert opened.page.evaluate("document.getElementById('after').naturalWidth") == 700


def test_the_divider_and_the_zoom(opened: Page) -> None:
    opened.page.locator("#compare").click()
    box = opened.page.locator("#frame").bounding_box()
    opened.page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 40)
    assert abs(int(opened.page.locator("#divider").input_value()) - 250) <= 3
    opened.page.locator("#divider").press("ArrowRight")
    assert (
        abs(
            float(opened.page.locator("#frame").evaluate("each => each.style.getPropertyValue('--split')"))
            - 0.251
        )
        < 0.004
    )
    opened.page.locator("#zoom").click()
    assert opened.page.locator("#frame").bounding_box()["width"] == 451  # of the first example


def test_everything_by_keyboard_alone(opened: Page, files: tuple[Path, Path]) -> None:
    """Every control is reached by Tab, shows that it has the focus, and works."""
    page = opened.page
    page.locator("#command-section").evaluate("each => { each.open = true; }")
    reached: dict[str, str] = {}
    for _ in range(80):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const active = document.activeElement;
              const shown = [active, active.closest("label"), active.parentElement].filter(Boolean);
              const of = (each, part) => getComputedStyle(each, part);
              const styles = shown.flatMap((each) => [of(each), of(each, "::after")]);
              return [active.id || active.title || active.textContent.trim() || active.value,
                styles.map((each) => each.outlineStyle).find((each) => each !== "none") ?? ""];
            }"""
        )
        if name in reached or page.evaluate("document.activeElement === document.body"):
            break
        reached[name] = outline
    wanted = {
        "compare",
        "zoom",
        "blend",
        "style-file",
        "ink.jpg",
        "content-file",
        "rocket.jpg",
        "option-alpha",
    }
    wanted |= {"option-match", "option-stroke_scale", "none", "Mask", "More options", "render", "format"}
    assert wanted | {"download", "command", "copy"} <= set(reached)
    assert [name for name, outline in reached.items() if outline != "solid"] == []

    page.locator("#styles button[title='ink.jpg']").focus()
    page.keyboard.press("Enter")
    page.locator("#styles button[title='ink.jpg'][aria-pressed=true]").wait_for()
    page.locator("#option-alpha").focus()
    page.keyboard.press("ArrowLeft")
    page.locator("#mask-section summary").focus()
    page.keyboard.press("Enter")
    page.locator("#mask").wait_for()
    page.locator("#mask").focus()
    for key in ("ArrowLeft", "ArrowUp", " ", "ArrowLeft", " "):
        page.keyboard.press(key)
    opened.rest()
    last = opened.live()[-1]
    assert last["options"] == {"alpha": 0.99}
    assert len(last["masks"]) == 1
    page.locator("#render").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Full size, 451 × 300").wait_for()
    page.locator("#render:focus").wait_for()


def test_narrow_screens(opened: Page) -> None:
    opened.page.set_viewport_size({"width": 390, "height": 844})
    for section in ("mask-section", "more", "command-section"):
        opened.page.locator(f"#{section}").evaluate("each => { each.open = true; }")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in opened.page.locator("button:visible, select:visible, input[type=range]:visible").all():
        box = button.bounding_box()
        in_strip = button.evaluate("each => Boolean(each.closest('#styles, #handle'))")
        assert in_strip or (box["x"] >= 0 and box["x"] + box["width"] <= 390)
        assert in_strip or box["height"] >= 24
    opened.page.locator("#download").scroll_into_view_if_needed()
    assert opened.page.locator("#after").bounding_box()["y"] >= 0  # the picture stays in sight


def test_the_page_is_dark_where_the_system_is(opened: Page) -> None:
    colors = []
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        colors.append(opened.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert colors == ["rgb(250, 250, 248)", "rgb(27, 27, 26)"]


def test_the_token_goes_from_the_address_to_the_header(browser: Any, model: str, tmp_path: Path) -> None:
    server = Server(tmp_path / "server", "--model", model, "--token", "a-secret-of-16-or-more")
    try:
        page = browser.new_page()
        page.goto(server.url)
        page.locator("#after[src]").wait_for()
        assert "token" not in page.url
        page.reload()
        page.locator("#after[src]").wait_for()
        page.close()
    finally:
        server.stop()

"""The OpenAPI document says what the server does."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from styletransfer.page.application import Application
from styletransfer.page.openapi import describe_api

from .conftest import Inputs, Server

jsonschema = pytest.importorskip("jsonschema", reason="needs the extra `test`")
DOCUMENT = describe_api(4 * 2**20, 10**8)
DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def fits(value: Any, schema: dict[str, Any]) -> bool:
    whole = {**schema, "components": DOCUMENT["components"]}
    return bool(jsonschema.Draft202012Validator(whole).is_valid(value))


def schema_of(path: str, method: str, status: int) -> dict[str, Any]:
    answer = DOCUMENT["paths"][path][method]["responses"][str(status)]
    return cast(dict[str, Any], answer["content"]["application/json"]["schema"])


def test_the_document_is_valid() -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="needs the extra `test`")
    validator.validate(DOCUMENT)


def test_the_server_sends_it(server: Server) -> None:
    sent = server.call("GET", "/openapi.json").json
    assert sent["components"] == DOCUMENT["components"]
    assert sent["paths"].keys() == DOCUMENT["paths"].keys()


def test_every_address_is_described_and_no_other() -> None:
    application = Application(cast(Any, None), 1, 1)
    routes: list[Any] = list(application.build().routes)
    served = {
        (route.path, method.lower())
        for route in routes
        if route.path not in application.page_files
        for method in route.methods - {"HEAD"}
    }
    described = {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert served == described


def test_answers_are_as_described(server: Server, inputs: Inputs) -> None:
    added = server.call("POST", "/pictures?name=a.png", inputs.content.read_bytes())
    assert fits(added.json, schema_of("/pictures", "post", 201))
    made = server.call("POST", "/stylize", {**inputs.request, "preview": 64, "render": "x"})
    assert (
        made.headers["content-type"] in DOCUMENT["paths"]["/stylize"]["post"]["responses"]["200"]["content"]
    )
    command = server.call("POST", "/command", inputs.request)
    assert fits(command.json, schema_of("/command", "post", 200))
    assert fits(server.call("GET", "/renders/x").json, schema_of("/renders/{name}", "get", 200))
    assert fits(server.call("GET", "/health").json, schema_of("/health", "get", 200))
    shown = server.call("GET", f"/pictures/{added.json['id']}?size=20")
    assert shown.headers["content-type"] in ("image/jpeg", "image/webp")
    missing = server.call("GET", "/pictures/none")
    assert (missing.status, fits(missing.json, schema_of("/pictures/{id}", "get", 404))) == (404, True)
    assert not fits({"state": "gone", "progress": 2}, schema_of("/renders/{name}", "get", 200))


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"options": {"alpha": 0.5, "size": 64, "preserve_color": "luma", "alpha_scales": [1, 1, 1, 1, 0.5]}},
        {"options": {"alpha": 1.5}},
        {"options": {"transform": "magic"}},
        {"options": {"unknown": 1}},
        {"options": []},
        {"styles": []},
        {"styles": "one"},
        {"format": "gif"},
        {"bit_depth": 12},
        {"quality": 101},
        {"preview": 4096},
        {"preview": "small"},
        {"preview": True, "render": None},
        {"render": ""},
        {"more": 1},
    ],
    ids=str,
)
def test_the_schema_and_the_server_agree(server: Server, inputs: Inputs, members: dict[str, Any]) -> None:
    request = {**inputs.request, **members}
    schema = DOCUMENT["components"]["schemas"]["StylizeRequest"]
    assert fits(request, schema) == (server.call("POST", "/command", request).status == 200)


def test_defaults_fit_their_schemas() -> None:
    options = DOCUMENT["components"]["schemas"]["StylizeOptions"]["properties"]
    assert all(fits(option["default"], option) for option in options.values())
    assert fits(
        {name: option["default"] for name, option in options.items()},
        {"$ref": "#/components/schemas/StylizeOptions"},
    )


def test_health_and_the_document_need_no_token(model: str, tmp_path: Path) -> None:
    guarded = Server(tmp_path / "server", "--model", model, "--token", "a-secret-of-16-or-more")
    try:
        status = {
            path: guarded.call("GET", path).status for path in ("/health", "/openapi.json", "/settings")
        }
        assert status == {"/health": 200, "/openapi.json": 200, "/settings": 401}
        check = read_health_check(guarded.port)
        assert subprocess.run(check, check=False).returncode == 0
    finally:
        guarded.stop()
    assert subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode != 0


def read_health_check(port: int) -> list[str]:
    """Return the words of the container's health check for another port."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if line.startswith("HEALTHCHECK"))
    words = shlex.split(line.partition(" CMD ")[2])
    assert words[0] == "python"
    return [sys.executable, *(word.replace(":8000", f":{port}") for word in words[1:])]

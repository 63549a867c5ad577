"""The HTTP API as an OpenAPI 3.1 document, from which other programs generate their clients.

Options, formats and limits come from where they are declared, so that none of them is written twice.
"""

from __future__ import annotations

from typing import Any

from styletransfer import __version__

from .options_form import describe_options
from .stylize_request import ALPHA, FORMATS, LARGEST_PREVIEW, LONGEST_TEXT, MOST_STYLES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}
ERRORS = {
    400: "A member or an option is wrong, or the request names another host.",
    401: "The token is missing or wrong.",
    403: "A page of another site asks.",
    404: "There is no such picture. The member `picture` is its id: send it again.",
    408: "The body does not arrive.",
    409: "The render was canceled, or one of this name runs.",
    413: "The body is too large, or the work does not fit into memory.",
    422: "The file is no picture, is damaged, or has too many pixels.",
    503: "Too many requests wait, or the server ends. `Retry-After` says when to try again.",
}


def describe_api(max_upload: int, max_pixels: int) -> Schema:
    """Return the OpenAPI document of a server.

    Args:
        max_upload: Most bytes of a picture file.
        max_pixels: Most pixels of a picture and of a result.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "styletransfer",
            "version": __version__,
            "summary": "Repaint any picture in the style of any other.",
            "description": "Pictures stay in the memory of the server until others need it. Errors are JSON. "
            "A server that other machines reach wants its token with every request.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": _describe_paths(max_upload, max_pixels),
        "components": {
            "schemas": {
                "StylizeOptions": describe_stylize_options(),
                "StylizeRequest": describe_request(),
                "Picture": _describe_object(
                    {
                        "id": {"type": "string"},
                        "name": {"type": "string"},
                        "width": {"type": "integer", "minimum": 1},
                        "height": {"type": "integer", "minimum": 1},
                        "has_alpha": {"type": "boolean"},
                        "animated": {"type": "boolean", "description": "Whether there are further frames."},
                    }
                ),
                "RenderState": _describe_object(
                    {
                        "state": {"enum": ["queued", "running", "unknown"]},
                        "progress": {"type": "number", "minimum": 0, "maximum": 1},
                        "seconds_left": {"type": ["number", "null"]},
                    }
                ),
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {"type": "string", "description": "What is wrong."},
                        "hint": {"type": "string", "description": "What to do about it."},
                    },
                },
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def describe_stylize_options() -> Schema:
    """Return the schema of the member `options`; its properties are the fields of `StylizeOptions`."""
    return {
        "type": "object",
        "properties": {option["name"]: _describe_option(option) for option in describe_options()},
        "additionalProperties": False,
    }


def describe_request() -> Schema:
    """Return the schema of the body of /stylize and /command."""
    mask = {**TEXT, "description": f"An id, or {ALPHA!r} for the transparency of the content."}
    return {
        "type": "object",
        "required": ["content", "styles"],
        "additionalProperties": False,
        "properties": {
            "content": {**TEXT, "description": "Id of a picture."},
            "styles": {
                "type": "array",
                "items": TEXT,
                "minItems": 1,
                "maxItems": MOST_STYLES,
                "description": "Ids of pictures, which are blended.",
            },
            "masks": {"type": "array", "items": mask, "description": "None, one, or one for each style."},
            "options": _refer("StylizeOptions"),
            "format": {"enum": list(FORMATS), "default": "png"},
            "bit_depth": {"enum": [8, 16], "default": 8, "description": "16 is for png and tiff."},
            "quality": {"type": "integer", "minimum": 1, "maximum": 100, "default": 95},
            "preview": {
                "anyOf": [
                    {"type": "boolean"},
                    {"type": "integer", "minimum": 1, "maximum": LARGEST_PREVIEW},
                ],
                "default": False,
                "description": "A small and quick picture instead, or its long edge in pixels.",
            },
            "render": {
                "anyOf": [TEXT, {"type": "null"}],
                "description": "A name of your choice, by which /renders knows the work.",
            },
        },
    }


def _describe_option(option: Schema) -> Schema:
    kinds: dict[str, Schema] = {
        "choice": {"enum": option["choices"]},
        "numbers": {"type": "array", "items": {"type": "number"}},
        "number": {"type": "number", "minimum": 0, "maximum": 1},
    }
    schema = kinds.get(option["kind"], {"type": option["kind"]})
    if option["optional"]:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "default": option["default"], "description": option["help"]}


def _describe_paths(max_upload: int, max_pixels: int) -> Schema:
    name, key = _describe_place("name", "Name of the render."), _describe_place("id", "Id of the picture.")
    sizes = f"At most {max_upload} bytes and {max_pixels} pixels."
    stylize = {"required": True, "content": _as_json(_refer("StylizeRequest"))}
    upload = {
        "summary": "Upload a picture.",
        "parameters": [_describe_query("name", {"type": "string"}, "Name of the file, for that of results.")],
        "requestBody": {
            "required": True,
            "description": f"The picture file as it is. {sizes}",
            "content": {"application/octet-stream": {}},
        },
        "responses": _answer(201, "The picture.", _refer("Picture"), 400, 403, 408, 413, 422, 503),
    }
    show = {
        "summary": "Show a picture, upright and in sRGB.",
        "parameters": [
            key,
            _describe_query("size", {"type": "integer", "minimum": 1, "maximum": 999_999}, "Long edge."),
        ],
        "responses": _answer_pictures(["image/jpeg", "image/webp"], 400, 404, 413, 422, 503),
    }
    make = {
        "summary": "Stylize a picture.",
        "requestBody": stylize,
        "responses": _answer_pictures(list(FORMATS.values()), 400, 403, 404, 408, 409, 413, 422, 503),
    }
    command = _describe_object({"command": {"type": "string"}})
    compose = {
        "summary": "Compose the command line that makes the same picture.",
        "requestBody": stylize,
        "responses": _answer(200, "The command line.", command, 400, 403, 404, 408, 413, 503),
    }
    watch = {
        "summary": "Ask how far a render is.",
        "parameters": [name],
        "responses": _answer(
            200, "The state, which is unknown before its begin and after its end.", _refer("RenderState")
        ),
    }
    cancel = {
        "summary": "Cancel a render; the request that waits for it gets 409.",
        "parameters": [name],
        "responses": {"204": {"description": "It ends, or there is none."}, **_refuse(401, 403)},
    }
    settings = {
        "summary": "List options, formats, limits and examples.",
        "responses": _answer(200, "What a page needs to build itself.", {"type": "object"}),
    }
    health = {
        "summary": "Tell whether the server answers. It needs no token.",
        "security": [{}],
        "responses": _answer(200, "It does.", _describe_object({"status": {"const": "ok"}})),
    }
    document = {
        "summary": "This document. It needs no token.",
        "security": [{}],
        "responses": _answer(200, "The document.", {"type": "object"}),
    }
    return {
        "/pictures": {"post": upload},
        "/pictures/{id}": {"get": show},
        "/stylize": {"post": make},
        "/command": {"post": compose},
        "/renders/{name}": {"get": watch, "delete": cancel},
        "/settings": {"get": settings},
        "/health": {"get": health},
        "/openapi.json": {"get": document},
    }


def _describe_object(properties: Schema) -> Schema:
    """Return the schema of an object that has all of these properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _describe_place(name: str, description: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": TEXT}


def _describe_query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _refer(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _as_json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _answer(status: int, description: str, schema: Schema, *errors: int) -> Schema:
    """Return the responses of an operation that answers JSON, or refuses with some errors."""
    answer = {"description": description, "content": _as_json(schema)}
    return {str(status): answer, **_refuse(*sorted({401, *errors}))}


def _answer_pictures(media_types: list[str], *errors: int) -> Schema:
    picture = {"description": "The picture.", "content": {each: {} for each in media_types}}
    return {"200": picture, **_refuse(*sorted({401, *errors}))}


def _refuse(*errors: int) -> Schema:
    content = _as_json(_refer("Error"))
    return {str(status): {"description": ERRORS[status], "content": content} for status in errors}

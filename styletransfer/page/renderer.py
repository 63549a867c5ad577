"""Makes the pictures of the server with `Stylizer`; what was read and measured stays in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from ..api import StylizedPicture, Stylizer
from ..errors import ImageError, MemoryLimitError, OptionError
from ..media import Picture, read_photo_metadata, read_picture, resize_picture, write_picture
from ..model import StyleStatistics
from ..options import RuntimeOptions, StylizeOptions, resolve_stroke_scale
from ..options.stylize_command_line import compose_stylize_command
from ..region_maps import RegionMaps
from ..result_metadata import choose_metadata, describe_settings, list_settings
from ..style_measurer import KeyedCache
from .errors import RequestError
from .memory_cache import MemoryCache
from .render_queue import Render
from .stylize_request import ALPHA, EXTENSIONS, FORMATS, PREVIEW_EDGE, StylizeRequest

PREVIEW_QUALITY, SHOWN_QUALITY = 90, 92
STYLE_BYTES = 2**23  # statistics and patches of a style take some 6 MB
MOST_STYLES, BLENDS = 32, 4

Key = TypeVar("Key")


class Upload(NamedTuple):
    """A picture file in memory."""

    id: str
    name: str
    data: bytes
    width: int
    height: int
    has_alpha: bool
    animated: bool


class StyleKey(NamedTuple):
    """A style and what it is measured for."""

    upload: str
    style_size: int
    stroke_scale: int
    exact: bool


class BlendKey(NamedTuple):
    """Styles that are blended, with their weights."""

    styles: tuple[StyleKey, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class EncodedPicture:
    """The bytes of a file, with its media type and a name for it."""

    data: bytes
    media_type: str
    name: str


class Renderer:
    """Everything that the API does with pictures; several threads may use it.

    Args:
        stylizer: Makes full results, within the memory limit.
        previewer: Makes previews, which are small and must not wait for the memory of full results.
        model: Name of the model in recorded settings.
        runtime: Where results are computed, for the command line that makes them again.
        memory: Bytes for uploads, reduced copies and results; and as many again for measured styles.
        max_pixels: Most pixels of a picture and of a result.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        previewer: Stylizer,
        *,
        model: str,
        runtime: RuntimeOptions,
        memory: int,
        max_pixels: int,
    ) -> None:
        self.stylizer = stylizer
        self._previewer = previewer
        self._model = model
        self._runtime = runtime
        self._max_pixels = max_pixels
        self._cache = MemoryCache(memory)
        remembered = max(2, min(MOST_STYLES, memory // STYLE_BYTES - BLENDS))
        self._styles = KeyedCache(self._measure, remembered)
        # A blend does not depend on the strength, so that it is made once while a slider moves.
        self._blends = KeyedCache(self._blend, BLENDS)

    def add_picture(self, data: bytes, name: str) -> Upload:
        """Decode a file once, to know that it can be used, and keep it.

        Raises:
            ImageError: It cannot be read, or has too many pixels.
            RequestError: It is larger than the memory for pictures.
        """
        key = hashlib.sha256(b"\0".join((name.encode("utf-8", "replace"), data))).hexdigest()[:32]
        known: Upload | None = self._cache.get(key)
        if known is not None:
            return known
        picture = self._read(data, name)
        animated = read_photo_metadata(io.BytesIO(data)).animated
        has_alpha = picture.alpha is not None
        upload = Upload(key, name, data, picture.width, picture.height, has_alpha, animated)
        if not self._cache.put(key, upload, len(data)):
            raise RequestError(413, f"{name}: the file does not fit into memory", hint="raise --max-memory")
        self._reduce(picture, key, PREVIEW_EDGE)
        return upload

    def find_picture(self, key: str) -> Upload:
        """Return an upload.

        Raises:
            RequestError: It was never there or is forgotten; the client can send it again.
        """
        upload: Upload | None = self._cache.get(key)
        if upload is None:
            raise RequestError(404, "there is no such picture", hint="upload it again", picture=key)
        return upload

    def show_picture(self, key: str, edge: int | None) -> EncodedPicture:
        """Return a picture as browsers show it: upright, in sRGB, of 8 bits.

        Args:
            key: Id of the picture.
            edge: Long edge to which larger pictures are reduced; None for none.
        """
        upload = self.find_picture(key)
        picture = self._read(upload.data, upload.name)
        if edge is not None and edge < max(picture.width, picture.height):
            picture = resize_picture(picture, edge)
        form = "jpeg" if picture.alpha is None else "webp"
        return self._encode_shown(picture, form, SHOWN_QUALITY, upload.name)

    def check(self, request: StylizeRequest) -> None:
        """Check what only the pictures can tell: that they are there and that the result is not too large."""
        content = self.find_picture(request.content)
        for each in (*request.styles, *(mask for mask in request.masks if mask != ALPHA)):
            self.find_picture(each)
        if ALPHA in request.masks and not content.has_alpha:
            raise OptionError("the mask is alpha, but the content has no alpha channel")
        if len(request.masks) > 1 and len(request.masks) != len(request.styles):
            count = f"{len(request.masks)} masks for {len(request.styles)} styles"
            raise OptionError(count, hint="give one mask, or one per style")
        factor = 1.0 if request.options.size is None else request.options.size / max(content[3:5])
        if content.width * content.height * factor**2 > self._max_pixels:
            most = self._max_pixels // 1_000_000
            raise OptionError(
                f"the result would have more than {most} megapixels", hint="choose a smaller size"
            )

    def preview(self, request: StylizeRequest, render: Render) -> EncodedPicture:
        """Make a small picture that resembles the full result."""
        upload = self.find_picture(request.content)
        assert request.preview is not None
        options, edge = plan_preview(request.options, upload.width, upload.height, request.preview)
        content = self._cache.get((upload.id, edge))
        if content is None:
            content = self._reduce(self._read(upload.data, upload.name), upload.id, edge)
        made = self._stylize(self._previewer, content, request, options, 8, render)
        form = "jpeg" if made.picture.alpha is None else "webp"
        return self._encode_shown(made.picture, form, PREVIEW_QUALITY, "preview")

    def render(self, request: StylizeRequest, render: Render) -> EncodedPicture:
        """Make a result as `styletransfer stylize` does, or take it from memory, and encode it."""
        upload = self.find_picture(request.content)
        made: StylizedPicture | None = self._cache.get(request.pixels_key)
        if made is None:
            content, depth = self._read(upload.data, upload.name), request.output.bit_depth
            made = self._stylize(self.stylizer, content, request, request.options, depth, render)
            del content
            picture = made.picture
            size = picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
            self._cache.put(request.pixels_key, made, size)
        styles = [self.find_picture(each).name for each in request.styles]
        masks = self._name_masks(request)
        maps = {"masks": ", ".join(masks)} if masks else {}
        settings = describe_settings(upload.name, styles, made.options, self._model, maps)
        photo = choose_metadata(read_photo_metadata(io.BytesIO(upload.data)), request.output)
        file = io.BytesIO()
        write_picture(
            made.picture,
            file,
            format=request.format,
            quality=request.output.quality,
            metadata=list_settings(self.stylizer, settings),
            photo=photo,
        )
        return EncodedPicture(file.getvalue(), FORMATS[request.format], self._name_result(request))

    def compose_command(self, request: StylizeRequest) -> str:
        """Return the command line that makes the same file, where the pictures are in the current folder."""
        styles = [self.find_picture(each).name for each in request.styles]
        output = None if request.format == "png" else self._name_result(request)
        return compose_stylize_command(
            self.find_picture(request.content).name,
            styles,
            request.options,
            self._runtime,
            self.stylizer.model_name,
            masks=self._name_masks(request),
            output=replace(request.output, output=output),
        )

    def _name_result(self, request: StylizeRequest) -> str:
        """Return the name that the command line gives a result."""
        names = [self.find_picture(each).name for each in (request.content, *request.styles)]
        content, *styles = (name.rpartition(".")[0] or name for name in names)
        return f"{content}_{'+'.join(styles)}.{EXTENSIONS[request.format]}"

    def _name_masks(self, request: StylizeRequest) -> list[str]:
        return [ALPHA if mask == ALPHA else self.find_picture(mask).name for mask in request.masks]

    def _read(self, data: bytes, name: str) -> Picture:
        file = io.BytesIO(data)
        file.name = name  # for messages
        return read_picture(file, max_pixels=self._max_pixels)

    def _reduce(self, picture: Picture, key: str, edge: int) -> Picture:
        """Return a copy for previews, and keep it."""
        reduced = resize_picture(picture, edge).with_bit_depth(8)
        size = reduced.pixels.nbytes + (0 if reduced.alpha is None else reduced.alpha.nbytes)
        self._cache.put((key, edge), reduced, size)
        return reduced

    def _stylize(
        self,
        stylizer: Stylizer,
        content: Picture,
        request: StylizeRequest,
        options: StylizeOptions,
        bit_depth: int,
        render: Render,
    ) -> StylizedPicture:
        """Stylize a content in the styles of a request, whose statistics are measured at most once."""
        uploads = [self.find_picture(each) for each in request.styles]
        masks = [
            mask if mask == ALPHA else self._read(self.find_picture(mask).data, "the mask")
            for mask in request.masks
        ]
        maps = RegionMaps(tuple(masks)) if masks else None
        given = options
        options = stylizer.resolve_options(options, content)
        styles: Sequence[Picture | StyleStatistics]
        if options.refine:  # needs the pictures
            styles = [self._read(each.data, each.name) for each in uploads]
        else:
            assert options.style_size is not None
            assert options.stroke_scale is not None
            keys = [
                StyleKey(each.id, options.style_size, options.stroke_scale, bit_depth != 8)
                for each in uploads
            ]
            if options.style_weights is not None and len(masks) < 2:
                styles = [_get(self._blends, BlendKey(tuple(keys), options.style_weights))]
                options = replace(options, style_weights=None)
            else:
                styles = [_get(self._styles, key) for key in keys]
        made = stylizer.stylize_picture(
            content, styles, options, bit_depth=bit_depth, progress=render.report, maps=maps
        )
        return made._replace(options=replace(made.options, style_weights=given.style_weights))

    def _measure(self, key: StyleKey) -> StyleStatistics:
        upload = self.find_picture(key.upload)
        # Strokes enlarge the style, which takes memory.
        stylizer = self._previewer if key.stroke_scale == 1 else self.stylizer
        return stylizer.measure_style(
            self._read(upload.data, upload.name),
            style_size=key.style_size,
            stroke_scale=key.stroke_scale,
            exact=key.exact,
        )

    def _blend(self, key: BlendKey) -> StyleStatistics:
        return StyleStatistics.blend([_get(self._styles, each) for each in key.styles], key.weights)

    def _encode_shown(self, picture: Picture, form: str, quality: int, name: str) -> EncodedPicture:
        file = io.BytesIO()
        write_picture(picture, file, format=form, bit_depth=8, quality=quality)
        return EncodedPicture(file.getvalue(), FORMATS[form], name)


def plan_preview(options: StylizeOptions, width: int, height: int, most: int) -> tuple[StylizeOptions, int]:
    """Return the options of a preview and its long edge: strokes keep their size relative to the picture.

    Args:
        options: The options of the full result.
        width: Width of the content in pixels.
        height: Height of the content in pixels.
        most: Its long edge, if the full result is larger.
    """
    resolved = resolve_stroke_scale(options, width, height)
    assert resolved.stroke_scale is not None
    long_edge = options.size or max(width, height)
    edge = min(most, long_edge)
    scale = max(1, round(resolved.stroke_scale * edge / long_edge))
    return replace(resolved, size=None, stroke_scale=scale, refine=0, content_statistics="exact"), edge


def _get(cache: KeyedCache[Key, StyleStatistics], key: Key) -> StyleStatistics:
    """Return statistics from a cache, which must not remember that memory was short or a picture missing."""
    try:
        return cache.get(key)
    except (MemoryLimitError, ImageError, RequestError):
        cache.discard(key)
        raise

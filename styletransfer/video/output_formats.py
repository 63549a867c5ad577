"""What files of results hold: containers with their codecs, codecs with their pixel formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import OptionError
from ..options import VideoOptions
from .libav import load_av
from .sources import SourceInfo

Kind = Literal["video", "animation", "folder"]


@dataclass(frozen=True)
class Codec:
    """One video codec.

    Attributes:
        encoder: The name of libav's encoder.
        formats: Pixel formats by bit depth, and by whether there is alpha.
        options: Options of the encoder. No codec reorders frames: parts are joined by their packets, and MP4
            states a wrong length for reordered frames at uneven distances.
        crf: The default of the constant rate factor; None if the codec has none.
        even: Whether width and height must be even.
        tag: Tag of the stream in MP4 and QuickTime, where the default is one that players refuse.
    """

    encoder: str
    formats: Mapping[tuple[int, bool], str]
    options: Mapping[str, str] = field(default_factory=dict)
    crf: int | None = None
    even: bool = False
    tag: str | None = None


CODECS = {
    "h264": Codec(
        "libx264",
        {(8, False): "yuv420p", (10, False): "yuv420p10le"},
        {"preset": "medium", "bf": "0"},
        crf=18,
        even=True,
    ),
    "hevc": Codec(
        "libx265",
        {(8, False): "yuv420p", (10, False): "yuv420p10le"},
        {"preset": "medium", "bf": "0", "x265-params": "bframes=0:log-level=none"},
        crf=20,
        even=True,
        tag="hvc1",
    ),
    "vp9": Codec(
        "libvpx-vp9",
        {(8, False): "yuv420p", (8, True): "yuva420p"},
        {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "auto-alt-ref": "0"},
        crf=24,
    ),
    "av1": Codec(
        "libsvtav1",
        {(8, False): "yuv420p", (10, False): "yuv420p10le"},
        {"preset": "8", "svtav1-params": "pred-struct=1"},
        crf=24,
    ),
    "prores": Codec("prores_ks", {(10, False): "yuv422p10le", (10, True): "yuva444p10le"}),
    "ffv1": Codec(
        "ffv1",
        {
            (8, False): "bgr0",
            (8, True): "bgra",
            (10, False): "gbrp10le",
            (10, True): "gbrap10le",
            (16, False): "gbrp16le",
            (16, True): "gbrap16le",
        },
        {"level": "3", "slicecrc": "1", "g": "1"},
    ),
}


@dataclass(frozen=True)
class Container:
    """One kind of file.

    Attributes:
        kind: What it is made of.
        format: The name of libav's muxer, or of Pillow's format for animations.
        codecs: Codecs that it takes, the default first.
        alpha: Whether a picture can be transparent, if the codec keeps that.
        options: Options of the muxer.
    """

    kind: Kind
    format: str
    codecs: tuple[str, ...]
    alpha: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


INDEX_FIRST = {"movflags": "+faststart"}
MATROSKA = Container("video", "matroska", ("ffv1", "h264", "hevc", "vp9", "av1", "prores"))
CONTAINERS = {
    ".mp4": Container("video", "mp4", ("h264", "hevc", "av1"), alpha=False, options=INDEX_FIRST),
    ".m4v": Container("video", "mp4", ("h264", "hevc", "av1"), alpha=False, options=INDEX_FIRST),
    ".mov": Container("video", "mov", ("h264", "hevc", "prores"), options=INDEX_FIRST),
    ".mkv": MATROSKA,
    ".webm": Container("video", "webm", ("vp9", "av1")),
    ".gif": Container("animation", "GIF", ("ffv1",)),
    ".webp": Container("animation", "WEBP", ("ffv1",)),
    ".apng": Container("animation", "PNG", ("ffv1",)),
}
FOLDER = Container("folder", "png", ())


@dataclass(frozen=True)
class VideoOutput:
    """How a result is written.

    Attributes:
        path: The file or folder; None for standard output.
        container: Its kind.
        codec: The codec of the result, or of the parts of an animation; None for a folder.
        pixel_format: Its pixel format.
        crf: Constant rate factor; None if the codec has none.
        width: Width of the result; odd sizes are padded where the codec needs it.
        height: Height of the result.
        alpha: Whether transparency is kept.
        bit_depth: Bits per channel.
        quality: Quality of WebP.
        notes: What the user should know.
    """

    path: Path | None
    container: Container
    codec: Codec | None
    pixel_format: str
    crf: int | None
    width: int
    height: int
    alpha: bool
    bit_depth: int
    quality: int = 95
    notes: tuple[str, ...] = ()

    def encoder_options(self) -> dict[str, str]:
        """Return the options of the encoder."""
        assert self.codec is not None
        options = dict(self.codec.options)
        return options if self.crf is None else options | {"crf": str(self.crf)}


def plan_output(
    path: Path | None, info: SourceInfo, options: VideoOptions, *, folder: bool = False, quality: int = 95
) -> VideoOutput:
    """Choose container, codec and pixel format of a result.

    Args:
        path: The file or folder; None for standard output, which gets Matroska.
        info: What is known of the frames, at the size of the result.
        options: How it is encoded.
        folder: Whether the path is a folder of PNG files.
        quality: Quality of WebP, 1..100.

    Raises:
        OptionError: The container is unknown, or cannot hold the codec, the bit depth or transparency.
    """
    container = FOLDER if folder else find_container(path)
    subject = "standard output" if path is None else str(path)
    alpha = info.alpha and not options.flatten
    if container.kind == "folder":
        if options.bit_depth == 10:
            raise OptionError(f"{subject}: PNG files hold 8 or 16 bits", hint="choose --bit-depth 16")
        return VideoOutput(
            path, container, None, "", None, info.width, info.height, alpha, options.bit_depth, quality
        )
    name = options.codec or container.codecs[0]
    if name not in container.codecs or (options.codec and container.kind == "animation"):
        allowed = (
            "no --codec" if container.kind == "animation" else f"--codec {' or '.join(container.codecs)}"
        )
        raise OptionError(f"{subject} cannot hold {name}", hint=f"choose {allowed}")
    codec = CODECS[name]
    if codec.encoder not in load_av().codecs_available:
        others = [each for each in container.codecs if CODECS[each].encoder in load_av().codecs_available]
        raise OptionError(f"this PyAV cannot encode {name}", hint=f"choose --codec {' or '.join(others)}")
    depth = 10 if name == "prores" else options.bit_depth
    if container.kind == "animation" and depth != 8:
        raise OptionError(f"{subject} holds 8 bits per channel", hint="leave out --bit-depth")
    if (depth, False) not in codec.formats:
        depths = sorted({each for each, _ in codec.formats})
        hint = f"choose --bit-depth {' or '.join(map(str, depths))}, or another --codec"
        raise OptionError(f"{name} holds no {depth} bits per channel", hint=hint)
    if alpha and not (container.alpha and (depth, True) in codec.formats):
        raise OptionError(
            f"{info.name} has transparent pixels, which {name} in {subject} cannot hold",
            hint="lay them on white by --flatten, or choose .webm, .mkv, .mov with --codec prores, or .webp",
        )
    width, height, notes = info.width, info.height, []
    if codec.even and (width % 2 or height % 2):
        width, height = width + width % 2, height + height % 2
        notes.append(
            f"{name} needs even edges: {info.width}x{info.height} becomes {width}x{height}, "
            "the last row or column twice"
        )
    if codec.crf is None and options.crf is not None:
        raise OptionError(f"{name} has no constant rate factor", hint="leave out --crf")
    if name in {"h264", "hevc"} and (options.crf or 0) > 51:
        raise OptionError(f"crf is {options.crf}", hint=f"it must be at most 51 for {name}")
    return VideoOutput(
        path,
        container,
        codec,
        codec.formats[depth, alpha],
        codec.crf if options.crf is None else options.crf,
        width,
        height,
        alpha,
        depth,
        quality,
        tuple(notes),
    )


def holds_pixel_aspect(path: Path | None, options: VideoOptions, *, folder: bool) -> bool:
    """Tell whether a result can say that its pixels are no squares.

    PyAV cannot tell the muxer, so the codec's own headers have to.

    Raises:
        OptionError: The extension is unknown.
    """
    if folder:
        return False
    name = options.codec or find_container(path).codecs[0]
    return name in {"h264", "hevc"}


def find_container(path: Path | None) -> Container:
    """Return the container that a name asks for; Matroska for standard output.

    Raises:
        OptionError: The extension is unknown.
    """
    if path is None:
        return MATROSKA
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        known = " ".join(CONTAINERS)
        raise OptionError(
            f"{path}: {path.suffix or 'a name without extension'} is no video that can be written",
            hint=f"choose one of {known}, or for PNG frames a folder, whose name ends in a slash",
        )
    return container

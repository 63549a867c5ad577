"""Files as cameras, editors and accidents leave them; one small file each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from .conftest import UNCHANGED, Run, frame_times, make, moving_picture, pixels, probe, tone, video_stream

RED = (200, 40, 60)


def flat(color: tuple[int, int, int], size: str, frames: int = 2) -> list[str]:
    """Return the words for a picture of one color."""
    red, green, blue = color
    return ["-f", "lavfi", "-i", f"color=0x{red:02x}{green:02x}{blue:02x}:s={size}:r=25:d={frames / 25}"]


def mean_color(path: str) -> np.ndarray:
    """Return the mean color of all frames."""
    samples = np.frombuffer(pixels(path), np.uint8)
    mean: np.ndarray = samples.reshape(-1, 3).mean(0)
    return mean


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_video_is_turned_upright(run: Run, degrees: int) -> None:
    make("plain.mp4", *moving_picture(2, "64x48"), "-vf", "gblur=2", "-crf", "1")
    make("in.mp4", "-i", "plain.mp4", "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}")
    assert run("in.mp4", "-o", "out.mkv", *UNCHANGED).exit_code == 0
    stream = video_stream("out.mkv")
    assert (stream["width"], stream["height"]) == ((48, 64) if degrees % 180 else (64, 48))
    assert "side_data_list" not in stream
    upright = np.frombuffer(pixels("in.mp4"), np.uint8).astype(int)  # ffmpeg turns it, too
    ours = np.frombuffer(pixels("out.mkv"), np.uint8).astype(int)
    assert np.abs(upright - ours).mean() < 3


def test_the_shape_of_pixels_is_kept(run: Run) -> None:
    make("in.mp4", *moving_picture(2), "-vf", "setsar=4/3")
    for suffix, codec in (("mp4", "h264"), ("mkv", "h264"), ("mov", "hevc")):
        assert run("in.mp4", "-o", f"out.{suffix}", "--codec", codec, "-f").exit_code == 0
        stream = video_stream(f"out.{suffix}")
        assert (stream["width"], stream["height"], stream["sample_aspect_ratio"]) == (64, 48, "4:3")
    for suffix in ("webm", "mkv", "apng"):  # stretched to squares, so that the picture has its proportions
        assert run("in.mp4", "-o", f"out.{suffix}", "-f").exit_code == 0
        stream = video_stream(f"out.{suffix}")
        assert (stream["width"], stream["height"]) == (85, 48)


def test_interlaced_video_is_deinterlaced(run: Run) -> None:
    bar = "nullsrc=s=64x48:r=50:d=0.24,geq=lum='255*lt(mod(X+8*N,64),16)':cb=128:cr=128"
    fields = ["-vf", "tinterlace=mode=interleave_top,setfield=tff", "-x264opts", "tff=1", "-crf", "1"]
    make("in.mp4", "-f", "lavfi", "-i", bar, *fields)
    result = run("in.mp4", "-o", "out.mkv", *UNCHANGED)
    assert "interlaced" in result.stderr
    assert len(frame_times("out.mkv")) == len(frame_times("in.mp4"))
    assert frame_times("out.mkv") == pytest.approx(frame_times("in.mp4"), abs=1e-3)

    make("wanted.mkv", "-i", "in.mp4", "-vf", "bwdif=mode=send_frame", "-c:v", "ffv1")
    ours, wanted, combed = (
        np.frombuffer(pixels(path, "gray"), np.uint8).astype(int)
        for path in ("out.mkv", "wanted.mkv", "in.mp4")
    )
    assert np.abs(ours - wanted).mean() < 0.5 * np.abs(combed - wanted).mean()


@pytest.mark.parametrize(
    ("size", "tags", "matrix"),
    [
        ("64x48", [], "bt601"),
        ("1280x720", [], "bt709"),
        ("64x48", ["-colorspace", "bt709"], "bt709"),
        ("64x48", ["-colorspace", "smpte170m"], "bt601"),
    ],
)
@pytest.mark.parametrize("span", ["tv", "pc"])
def test_matrix_and_range_are_read(run: Run, size: str, tags: list[str], matrix: str, span: str) -> None:
    chain = f"format=rgb24,scale=out_color_matrix={matrix}:out_range={span},format=yuv420p"
    make("in.mkv", *flat(RED, size), "-vf", chain, "-c:v", "ffv1", *tags, "-color_range", span)
    assert run("in.mkv", "-o", "out.mkv", "--end", "0.03", *UNCHANGED, "--size", "64").exit_code == 0
    assert mean_color("out.mkv") == pytest.approx(RED, abs=4)  # the other matrix is off by 13 and more


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm"])
def test_results_are_bt709_of_limited_range(run: Run, suffix: str) -> None:
    make("in.mkv", *flat(RED, "64x48"), "-c:v", "ffv1", "-pix_fmt", "bgr0")
    assert run("in.mkv", "-o", f"out.{suffix}", *UNCHANGED, "--crf", "4").exit_code == 0
    stream = video_stream(f"out.{suffix}")
    tags = ("color_space", "color_primaries", "color_transfer", "color_range")
    assert [stream.get(tag) for tag in tags] == ["bt709", "bt709", "bt709", "tv"]
    assert mean_color(f"out.{suffix}") == pytest.approx(RED, abs=2)


def test_ten_bits_come_in_and_go_out(run: Run) -> None:
    ramp = [
        "-f",
        "lavfi",
        "-i",
        "color=black:s=64x48:r=25:d=0.04,format=yuv444p10le,geq=lum='64+13*X':cb=512:cr=512",
    ]
    make("in.mkv", *ramp, "-c:v", "ffv1", "-colorspace", "bt709", "-color_range", "tv")
    assert run("in.mkv", "-o", "out.mp4", "--bit-depth", "10", "--crf", "1", *UNCHANGED).exit_code == 0
    assert video_stream("out.mp4")["pix_fmt"] == "yuv420p10le"
    before, after = (
        np.frombuffer(pixels(path, "gray10le"), "<u2").astype(int) for path in ("in.mkv", "out.mp4")
    )
    assert np.abs(before - after).max() <= 3
    assert len(np.unique(after)) > 50


@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_hdr_is_mapped_to_sdr(run: Run, transfer: str, name: str) -> None:
    """White of the diffuse level stays below white, and the light above it keeps its order."""
    ramp = "color=black:s=64x48:r=25:d=0.04,format=yuv420p10le,geq=lum='64+13.7*X':cb=512:cr=512"
    tags = ["-color_trc", transfer, "-color_primaries", "bt2020", "-colorspace", "bt2020nc"]
    make("in.mkv", "-f", "lavfi", "-i", ramp, "-c:v", "ffv1", *tags, "-color_range", "tv")
    result = run("in.mkv", "-o", "out.mkv", *UNCHANGED)
    assert "is HDR" in result.stderr
    row = np.frombuffer(pixels("out.mkv"), np.uint8).reshape(48, 64, 3)[24].astype(int)
    assert (np.diff(row[:, 0]) >= 0).all()
    assert np.abs(row - row[:, :1]).max() <= 1  # gray stays gray
    white = 37 if name == "PQ" else 48  # 203 cd/m2: 0.58 of the signal in PQ, 0.75 in HLG
    assert 190 < row[white, 0] < 245
    assert (np.diff(row[white : white + 8, 0]) > 0).all()
    assert video_stream("out.mkv").get("color_transfer") == "bt709"


@pytest.mark.parametrize(
    "words", [("-c:v", "qtrle"), ("-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"), ("-c:v", "png")]
)
def test_transparency_is_kept(run: Run, words: tuple[str, ...]) -> None:
    half = "geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,32),255,64)'"
    make("in.mov", *flat(RED, "64x48"), "-vf", f"format=rgba,{half}", *words)
    for name, codec in (("out.mkv", []), ("out.webm", []), ("out.mov", ["--codec", "prores"])):
        assert run("in.mov", "-o", name, *codec, *UNCHANGED).exit_code == 0
    tags = {key.lower(): text for key, text in video_stream("out.webm")["tags"].items()}
    assert tags["alpha_mode"] == "1"
    for name in ("out.mkv", "out.mov"):
        levels = np.frombuffer(pixels(name, "rgba"), np.uint8).reshape(-1, 48, 64, 4)[:, :, :, 3]
        assert np.abs(levels[..., :30].astype(int) - 255).max() <= 3
        assert np.abs(levels[..., 34:].astype(int) - 64).max() <= 3
    assert run("out.webm", "-o", "again.mkv", *UNCHANGED).exit_code == 0  # libvpx alone decodes this alpha
    levels = np.frombuffer(pixels("again.mkv", "rgba"), np.uint8).reshape(-1, 48, 64, 4)[:, :, :, 3]
    assert np.abs(levels[..., 40:].astype(int) - 64).max() <= 4

    result = run("in.mov", "-o", "out.mp4")
    assert result.exit_code == 2
    assert "--flatten" in result.stderr
    assert run("in.mov", "-o", "out.mp4", "--flatten", *UNCHANGED, "--crf", "4").exit_code == 0


@pytest.mark.parametrize(("suffix", "size"), [("mp4", (64, 48)), ("webm", (63, 47)), ("mkv", (63, 47))])
def test_odd_sizes(run: Run, suffix: str, size: tuple[int, int]) -> None:
    make("in.mkv", "-f", "lavfi", "-i", "testsrc=s=63x47:d=0.08", "-c:v", "ffv1", "-pix_fmt", "bgr0")
    result = run("in.mkv", "-o", f"out.{suffix}")
    assert result.exit_code == 0
    stream = video_stream(f"out.{suffix}")
    assert (stream["width"], stream["height"]) == size
    assert ("becomes 64x48" in result.stderr) == (suffix == "mp4")


def test_a_size_that_changes_is_scaled_to_the_first(run: Run) -> None:
    make("a.h264", *moving_picture(3, "64x48"), "-bf", "0")
    make("b.h264", *moving_picture(3, "96x72"), "-bf", "0")
    Path("in.h264").write_bytes(Path("a.h264").read_bytes() + Path("b.h264").read_bytes())
    assert run("in.h264", "-o", "out.mkv").exit_code == 0
    assert len(frame_times("out.mkv")) == 6
    assert (video_stream("out.mkv")["width"], video_stream("out.mkv")["height"]) == (64, 48)


def test_a_stream_without_times_has_its_stated_rate(run: Run) -> None:
    make("in.h264", *moving_picture(6, rate=20), "-bf", "0")
    assert run("in.h264", "-o", "out.mp4").exit_code == 0
    assert frame_times("out.mp4") == pytest.approx([index / 20 for index in range(6)], abs=1e-3)


def test_the_video_need_not_be_the_first_stream(run: Run) -> None:
    make("in.mkv", *tone(), *moving_picture(4), "-map", "0", "-map", "1")
    assert probe("in.mkv")["streams"][0]["codec_type"] == "audio"
    assert run("in.mkv", "-o", "out.mkv").exit_code == 0
    assert {each["codec_type"] for each in probe("out.mkv")["streams"]} == {"audio", "video"}


def test_cover_art_is_no_video(run: Run) -> None:
    make("cover.jpg", *moving_picture(1), "-frames:v", "1")
    words = ["-i", "cover.jpg", "-map", "0", "-map", "1", "-disposition:v:0", "attached_pic"]
    make("in.m4a", *tone(), *words, "-c:v", "mjpeg", "-c:a", "aac")
    result = run("in.m4a", "-o", "out.mp4")
    assert result.exit_code == 1
    assert "in.m4a has no video but cover art" in result.stderr


def test_sound_alone_is_no_video(run: Run) -> None:
    make("in.wav", *tone())
    result = run("in.wav", "-o", "out.mp4")
    assert (result.exit_code, Path("out.mp4").exists()) == (1, False)
    assert result.stderr == "error: in.wav has no video; choose a file with a video stream\n"


@pytest.mark.parametrize("content", [b"", b"no video at all" * 99])
def test_what_is_no_video(run: Run, content: bytes) -> None:
    Path("in.mp4").write_bytes(content)
    result = run("in.mp4", "-o", "out.mp4")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: in.mp4: is not a readable video")
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


def test_a_picture_is_no_video(run: Run) -> None:
    for name in ("in.jpg", "in.png"):
        make(name, *moving_picture(1), "-frames:v", "1")
        result = run(name, "-o", "out.mp4")
        assert result.exit_code == 1
        assert "use `styletransfer stylize`" in result.stderr


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_file_that_is_cut_off(run: Run, suffix: str) -> None:
    make(f"whole.{suffix}", *moving_picture(100), "-g", "5", "-bf", "0")
    whole = Path(f"whole.{suffix}").read_bytes()
    Path(f"in.{suffix}").write_bytes(whole[: len(whole) // 2])
    result = run(f"in.{suffix}", "-o", "out.mp4")
    if suffix == "mkv":  # a transport stream states no length
        assert result.exit_code == 1
        assert "cut off" in result.stderr
    assert 20 < len(frame_times("out.mp4")) < 80


def test_a_file_without_its_index_is_refused(run: Run) -> None:
    make("whole.mp4", *moving_picture(20))
    Path("in.mp4").write_bytes(Path("whole.mp4").read_bytes()[:3000])
    result = run("in.mp4", "-o", "out.mp4")
    assert (result.exit_code, Path("out.mp4").exists()) == (1, False)
    assert result.stderr.startswith("error: in.mp4: is not a readable video")


def test_broken_frames_are_counted_and_the_others_keep_their_times(run: Run) -> None:
    make("in.mkv", *moving_picture(12), "-c:v", "png")
    data = bytearray(Path("in.mkv").read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 40):
        data[at] ^= 0xFF
    Path("in.mkv").write_bytes(data)
    result = run("in.mkv", "-o", "out.mkv")
    assert result.exit_code == 1
    assert "damaged and left out" in result.stderr
    assert result.stdout == "out.mkv\n"
    times = frame_times("out.mkv")
    assert 9 <= len(times) <= 11
    assert all(round(time / 0.04, 2) == round(time / 0.04) for time in times)


def test_missing_frame_counts_and_odd_names(run: Run) -> None:
    name = "día 1: 100% #ümläut 日本.webm"
    make("in.webm", *moving_picture(3), "-c:v", "libvpx-vp9")
    Path("in.webm").rename(name)
    result = run(name, "-o", f"out {name}")
    assert result.exit_code == 0
    assert len(frame_times(f"out {name}")) == 3


def test_sound_longer_than_the_picture_is_no_damage(run: Run) -> None:
    make("in.mp4", *moving_picture(5), *tone(3), "-c:a", "aac")
    assert run("in.mp4", "-o", "out.mp4").exit_code == 0
    assert float(probe("out.mp4")["format"]["duration"]) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_other_codecs(run: Run, codec: str) -> None:
    make("in.mp4", *moving_picture(6, "64x64"))
    result = run("in.mp4", "-o", "out.mp4", "--codec", codec)
    assert result.exit_code == 0
    stream = video_stream("out.mp4")
    assert stream["codec_name"] == codec
    assert stream["codec_tag_string"] == {"hevc": "hvc1", "av1": "av01"}[codec]
    assert frame_times("out.mp4") == pytest.approx(frame_times("in.mp4"), abs=1e-3)
    played = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "out.mp4", "-f", "null", "-"], capture_output=True, check=True
    )
    assert played.stderr == b""


def test_repeated_frames_of_theora_are_no_damage(run: Run) -> None:
    # The encoder leaves out frames that hardly change, here the third and the last.
    make("in.ogv", *moving_picture(6, "32x24", 10), "-c:v", "libtheora")
    times = frame_times("in.ogv")
    result = run("in.ogv", "-o", "out.mp4")
    assert (result.exit_code, "damaged" in result.stderr) == (0, False), result.stderr
    assert frame_times("out.mp4") == pytest.approx(times, abs=1e-3)

"""What comes out has the frames, times, sound and texts of what went in."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from .conftest import Run, frame_times, make, moving_picture, packets, probe, tone, video_stream

UNEVEN = ["-vf", "setpts='(N+floor(N*N/3))*0.04/TB'", "-vsync", "vfr"]  # 0, .04, .12, .24, .36, .52 s


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_frames_and_times(run: Run, suffix: str) -> None:
    make("in.mp4", *moving_picture(8), "-pix_fmt", "yuv420p")
    result = run("in.mp4", "-o", f"out{suffix}")
    assert (result.exit_code, result.stdout) == (0, f"out{suffix}\n"), result.stderr
    assert frame_times(f"out{suffix}") == pytest.approx(frame_times("in.mp4"), abs=6e-4)
    assert float(probe(f"out{suffix}")["format"]["duration"]) == pytest.approx(0.32, abs=1e-3)
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("source", "suffix"), [("mkv", ".mp4"), ("mp4", ".mkv"), ("mp4", ".mp4")])
def test_uneven_times_are_kept(run: Run, source: str, suffix: str) -> None:
    make(f"in.{source}", *moving_picture(7), *UNEVEN, "-c:v", "libx264", "-bf", "0")
    assert run(f"in.{source}", "-o", f"out{suffix}").exit_code == 0
    times = frame_times(f"out{suffix}")
    assert times == pytest.approx(frame_times(f"in.{source}"), abs=6e-4)
    assert len({round(b - a, 3) for a, b in itertools.pairwise(times)}) > 2
    length = float(video_stream("out.mp4")["duration"]) if suffix == ".mp4" else times[-1] + 0.04
    assert length == pytest.approx(times[-1] + 0.04, abs=0.05)


def test_reordered_frames_come_out_in_order(run: Run) -> None:
    make("in.mp4", *moving_picture(12), "-c:v", "libx264", "-bf", "3", "-g", "6")
    assert run("in.mp4", "-o", "out.mp4").exit_code == 0
    assert frame_times("out.mp4") == pytest.approx(frame_times("in.mp4"), abs=1e-4)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_is_copied_and_stays_where_it_was(run: Run, suffix: str) -> None:
    words = [*moving_picture(10), "-itsoffset", "0.15", *tone(0.3), "-c:a", "aac", "-c:v", "libx264"]
    make("in.mp4", *words)
    assert run("in.mp4", "-o", f"out{suffix}").exit_code == 0
    before, after = packets("in.mp4", "a:0"), packets(f"out{suffix}", "a:0")
    assert [data for _, data in after] == [data for _, data in before]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=1.1e-3)


def test_a_start_other_than_zero_is_kept(run: Run) -> None:
    make("in.mkv", *moving_picture(6), *tone(), "-c:v", "libx264", "-c:a", "flac", "-output_ts_offset", "5")
    for suffix in (".mkv", ".mp4"):
        assert run("in.mkv", "-o", f"out{suffix}").exit_code == 0
        assert frame_times(f"out{suffix}") == pytest.approx(frame_times("in.mkv"), abs=1e-3)
        assert packets(f"out{suffix}", "a:0")[0][0] == pytest.approx(packets("in.mkv", "a:0")[0][0], abs=1e-3)


def test_all_streams_and_texts_are_kept(run: Run) -> None:
    Path("words.srt").write_text("1\n00:00:00,000 --> 00:00:00,200\nhello\n")
    Path("chapters.txt").write_text(
        ";FFMETADATA1\ntitle=A walk\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=100\ntitle=one\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=100\nEND=240\ntitle=two\n"
    )
    streams = [*moving_picture(6), *tone(), *tone(), "-i", "words.srt", "-i", "chapters.txt"]
    maps = [each for index in range(4) for each in ("-map", str(index))]
    tags = ["-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=fra", "-map_metadata", "4"]
    make("in.mkv", *streams, *maps, *tags, "-c:v", "libx264", "-c:a", "aac", "-c:s", "srt")
    assert run("in.mkv", "-o", "out.mkv").exit_code == 0
    kinds = [(each["codec_type"], each["codec_name"]) for each in probe("out.mkv")["streams"]]
    assert kinds == [("video", "ffv1"), ("audio", "aac"), ("audio", "aac"), ("subtitle", "subrip")]
    languages = [each["tags"].get("language") for each in probe("out.mkv")["streams"]]
    assert languages[1:3] in (["ger", "fre"], ["deu", "fra"])
    assert probe("out.mkv")["format"]["tags"]["title"] == "A walk"
    assert [each["tags"]["title"] for each in probe("out.mkv")["chapters"]] == ["one", "two"]
    for stream in ("a:0", "a:1", "s:0"):
        assert packets("out.mkv", stream) == packets("in.mkv", stream)

    result = run("in.mkv", "-o", "out.mp4")
    assert result.exit_code == 0
    assert result.stderr.count("left out: subtitle") == 1
    assert [each["codec_name"] for each in probe("out.mp4")["streams"]][:3] == ["h264", "aac", "aac"]
    assert [each["tags"]["title"] for each in probe("out.mp4")["chapters"]] == ["one", "two"]
    result = run("out.mp4", "-o", "again.mp4")
    assert (result.exit_code, "left out" in result.stderr) == (0, False), result.stderr
    assert [each["tags"]["title"] for each in probe("again.mp4")["chapters"]] == ["one", "two"]


def test_places_are_kept_only_if_asked_for(run: Run) -> None:
    tags = ["-metadata", "location=+48.85+002.35/", "-metadata", "artist=me"]
    make("in.mp4", *moving_picture(3), *tags)
    assert run("in.mp4", "-o", "a.mp4").exit_code == 0
    assert run("in.mp4", "-o", "b.mp4", "--keep-location").exit_code == 0
    assert run("in.mp4", "-o", "c.mp4", "--no-metadata").exit_code == 0
    a, b, c = (probe(f"{name}.mp4")["format"]["tags"] for name in "abc")
    assert a["artist"] == "me"
    assert '"steadiness": "1.0"' in a["comment"]
    assert "location" not in a
    assert b["location"].startswith("+48.85")
    assert not {"artist", "location", "comment"} & set(c)


def test_a_part_of_a_video(run: Run) -> None:
    make("in.mp4", *moving_picture(50), *tone(2), "-c:v", "libx264", "-c:a", "aac", "-g", "10")
    assert run("in.mp4", "-o", "out.mp4", "--start", "0:00.4", "--end", "1").exit_code == 0
    times = frame_times("out.mp4")
    assert times == pytest.approx([index / 25 for index in range(15)], abs=1e-3)
    sound = packets("out.mp4", "a:0")
    assert 0 <= sound[0][0] < 0.03
    assert 0.55 < sound[-1][0] < 0.6
    before = {data: time for time, data in packets("in.mp4", "a:0")}
    assert all(before[data] - time == pytest.approx(0.4, abs=1e-3) for time, data in sound)


def test_another_rate(run: Run) -> None:
    make("in.mp4", *moving_picture(10))
    assert run("in.mp4", "-o", "half.mp4", "--fps", "12.5").exit_code == 0
    assert frame_times("half.mp4") == pytest.approx([0.08 * index for index in range(5)], abs=1e-3)
    assert run("in.mp4", "-o", "double.mp4", "--fps", "50").exit_code == 0
    assert frame_times("double.mp4") == pytest.approx([0.02 * index for index in range(20)], abs=1e-3)


def test_another_size(run: Run) -> None:
    make("in.mp4", *moving_picture(3, "64x48"))
    assert run("in.mp4", "-o", "out.mp4", "--size", "32").exit_code == 0
    stream = video_stream("out.mp4")
    assert (stream["width"], stream["height"]) == (32, 24)


@pytest.mark.parametrize(("rate", "code"), [("25", "01:02:03:04"), ("30000/1001", "01:02:03;04")])
def test_a_time_code_is_kept(run: Run, rate: str, code: str) -> None:
    """As cameras record it: a tag, and a track of data, which muxers make of the tag."""
    make(
        "in.mov", "-f", "lavfi", "-i", f"testsrc2=size=32x24:rate={rate}", "-frames:v", "3", "-timecode", code
    )
    for target in ("out.mp4", "out.mov", "out.mkv"):
        result = run("in.mov", "-o", target)
        assert (result.exit_code, "left out" in result.stderr) == (0, False), result.stderr
        tags = {key.lower(): text for key, text in probe(target)["streams"][0]["tags"].items()}
        assert tags["timecode"] == code
    assert run("in.mov", "-o", "trimmed.mp4", "--start", "0.05").exit_code == 0
    assert len(probe("trimmed.mp4")["streams"]) == 1


def test_a_time_code_that_muxers_cannot_write(run: Run) -> None:
    make("in.mkv", *moving_picture(3), "-metadata", "timecode=noon")
    assert run("in.mkv", "-o", "out.mov").exit_code == 0
    assert len(probe("out.mov")["streams"]) == 1

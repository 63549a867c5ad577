"""Weights files: what was saved comes back, and nothing else is taken for it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from styletransfer.errors import OptionError, WeightsError
from styletransfer.files import compute_sha256, read_tensors, write_tensors
from styletransfer.linalg import Statistics
from styletransfer.model import (
    Architecture,
    Autoencoder,
    StyleStatistics,
    available_models,
    count_parameters,
    load_model,
    measure_levels,
    save_model,
    verify_model,
)
from styletransfer.transfer.color_curves import measure_quantiles
from styletransfer.transfer.patch_matching import PatchBank


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    path = tmp_path / "tiny.safetensors"
    save_model(Autoencoder(Architecture((4, 6), (1, 1))), path, {"steps": 7})
    return path


def test_round_trip(saved: Path) -> None:
    torch.manual_seed(3)
    original = Autoencoder(Architecture((4, 6), (1, 1)))
    loaded = load_model(saved).network
    assert not loaded.training
    for (name, a), b in zip(original.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert json.loads(read_tensors(saved).metadata["provenance"]) == {"steps": 7}


def test_a_save_leaves_only_the_file(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("damage", ["truncated", "empty", "pickle", "text", "other"])
def test_other_files_are_refused_in_one_line(saved: Path, damage: str) -> None:
    data = saved.read_bytes()
    content = {
        "truncated": data[: len(data) // 2],
        "empty": b"",
        "pickle": pickle.dumps({"weight": [1.0]}),
        "text": b"not weights",
        "other": None,
    }[damage]
    if content is None:
        StyleStatistics((), "model").save(saved)
    else:
        saved.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        load_model(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_unknown_models() -> None:
    with pytest.raises(WeightsError, match="no such weights file"):
        load_model("nowhere/model.safetensors")
    with pytest.raises(WeightsError, match="default"):
        load_model("monet")


def test_manifest_is_true() -> None:
    for entry in available_models():
        path = verify_model(entry.name)
        assert path.stat().st_size == entry.bytes
        assert compute_sha256(path) == entry.sha256
        assert count_parameters(load_model(entry.name).network) == entry.parameters
        assert entry.trained_on
        assert entry.description


def test_tampered_weights_are_refused(tmp_path: Path) -> None:
    entry = available_models()[0]
    data = bytearray(verify_model(entry.name).read_bytes())
    data[-1] ^= 1
    (tmp_path / entry.file).write_bytes(data)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_model(entry.name, weights_folder=tmp_path)


def test_headers_that_lack_something_are_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {}, {"format": "styletransfer-autoencoder-1"})
    with pytest.raises(WeightsError, match="not a model"):
        load_model(tmp_path / "a.safetensors")
    write_tensors(tmp_path / "b.safetensors", {}, {"format": "styletransfer-statistics-6"})
    with pytest.raises(WeightsError, match="no style statistics"):
        StyleStatistics.load(tmp_path / "b.safetensors")
    wrong = {"0.mean": torch.zeros(1, 3), "0.covariance": torch.zeros(1, 3, 2), "0.count": torch.ones(1)}
    metadata = {"format": "styletransfer-statistics-6", "model": "m"}
    for tensors in (wrong, wrong | {"0.covariance": torch.full((1, 3, 3), torch.nan)}):
        write_tensors(tmp_path / "c.safetensors", tensors, metadata)
        with pytest.raises(WeightsError, match="level 0"):
            StyleStatistics.load(tmp_path / "c.safetensors")


def test_quantiles_of_colors_are_saved_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    levels = (Statistics(torch.zeros(1, 3), torch.eye(3)[None], torch.ones(1)),)
    colors = measure_quantiles(torch.rand(3, 50))
    StyleStatistics(levels, "m", colors=colors).save(tmp_path / "a.safetensors")
    loaded = StyleStatistics.load(tmp_path / "a.safetensors")
    assert loaded.colors is not None
    assert torch.equal(loaded.colors, colors)
    tensors, metadata, _ = read_tensors(tmp_path / "a.safetensors")
    for damaged in (colors[:, :-1], colors.flip(1), torch.full_like(colors, torch.nan)):
        write_tensors(tmp_path / "b.safetensors", tensors | {"colors": damaged.contiguous()}, metadata)
        with pytest.raises(WeightsError, match="colors"):
            StyleStatistics.load(tmp_path / "b.safetensors")


def test_patches_are_saved_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    levels = (Statistics(torch.zeros(1, 3), torch.eye(3)[None], torch.ones(1)),)
    bank = PatchBank.of({0: torch.randn(5, 12).half(), 1: torch.randn(5, 27).half()}, [1])
    StyleStatistics(levels, "m", bank=bank).save(tmp_path / "a.safetensors")
    loaded = StyleStatistics.load(tmp_path / "a.safetensors")
    assert loaded.bank is not None
    for scale in (0, 1):
        assert torch.equal(loaded.bank.pieces[scale], bank.pieces[scale])
    assert torch.equal(loaded.bank.shares[1], bank.shares[1])

    tensors, metadata, _ = read_tensors(tmp_path / "a.safetensors")
    for name, tensor in {
        "pieces.0": torch.zeros(4, 12),
        "pieces.1": torch.full((5, 27), torch.nan),
        "shares.1": torch.zeros(5),
        "shares.2": torch.ones(5),
        "pieces.x": torch.zeros(5, 12),
    }.items():
        write_tensors(tmp_path / "b.safetensors", tensors | {name: tensor}, metadata)
        with pytest.raises(WeightsError, match="patches"):
            StyleStatistics.load(tmp_path / "b.safetensors")


def test_statistics_of_networks_without_matching_have_no_patches(tmp_path: Path) -> None:
    tensors = {"0.mean": torch.zeros(1, 3), "0.covariance": torch.eye(3)[None], "0.count": torch.ones(1)}
    metadata = {"format": "styletransfer-statistics-6", "model": "m", "stroke_scale": "1"}
    write_tensors(tmp_path / "a.safetensors", tensors, metadata)
    assert StyleStatistics.load(tmp_path / "a.safetensors").bank is None


@pytest.mark.parametrize("weights", [[0, 0], [float("nan"), 1], [2, -1]])
def test_nonsense_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(OptionError):
        StyleStatistics.blend([measured(1), measured(2)], weights)
    with pytest.raises(OptionError, match="no style"):
        StyleStatistics.blend([], [])


def test_statistics_of_underpaintings_come_with_their_scale(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    measured(0).save(path)
    tensors, metadata, _ = read_tensors(path)
    write_tensors(path, tensors, {**metadata, "stroke_scale": "2"})
    with pytest.raises(WeightsError, match="stroke scale is '2'"):
        StyleStatistics.load(path)
    measured(0, stroke_scale=2).save(path)
    tensors, metadata, _ = read_tensors(path)
    write_tensors(path, {name: each for name, each in tensors.items() if "ing.1" not in name}, metadata)
    with pytest.raises(WeightsError, match="do not match"):
        StyleStatistics.load(path)


def measured(seed: int, model: str = "m", stroke_scale: int = 1) -> StyleStatistics:
    generator = torch.Generator().manual_seed(seed)
    levels = measure_levels([torch.randn(1, c, 9, 9, generator=generator) for c in (3, 5)])
    below = measured(seed + 10, model) if stroke_scale > 1 else None
    return StyleStatistics(levels, model, stroke_scale, below)


@pytest.mark.parametrize("stroke_scale", [1, 4])
def test_statistics_round_trip(tmp_path: Path, stroke_scale: int) -> None:
    style = measured(0, stroke_scale=stroke_scale)
    style.save(tmp_path / "style.safetensors")
    loaded = StyleStatistics.load(tmp_path / "style.safetensors")
    assert (loaded.model, loaded.stroke_scale) == (style.model, stroke_scale)
    assert (loaded.underpainting is None) == (style.underpainting is None)
    saved = [*style.levels, *(style.underpainting.levels if style.underpainting else ())]
    found = [*loaded.levels, *(loaded.underpainting.levels if loaded.underpainting else ())]
    for a, b in zip(saved, found, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("own_underpainting", [False, True])
def test_one_file_has_all_stroke_scales(tmp_path: Path, own_underpainting: bool) -> None:
    base = measured(0)
    below = base if own_underpainting else measured(1)
    larger = tuple(replace(measured(10 + k), stroke_scale=k, underpainting=below) for k in (2, 3, 12))
    path = tmp_path / "style.safetensors"
    replace(base, larger=larger).save(path)
    loaded = StyleStatistics.load(path)
    assert loaded.stroke_scales == [1, 2, 3, 12]
    for expected in (base, *larger):
        found = loaded.at_stroke_scale(expected.stroke_scale)
        assert not found.larger
        assert found.levels[1].covariance.equal(expected.levels[1].covariance)
        if found.underpainting is not None:
            assert found.underpainting.levels[1].covariance.equal(below.levels[1].covariance)
    assert loaded.at_stroke_scale(1) is loaded.at_stroke_scale(1)
    with pytest.raises(OptionError, match="stroke scale 1, 2, 3, 12, not 4"):
        loaded.at_stroke_scale(4)
    tensors, metadata, _ = read_tensors(path)
    write_tensors(path, {name: each for name, each in tensors.items() if "scale3.1" not in name}, metadata)
    with pytest.raises(WeightsError, match="do not match"):
        StyleStatistics.load(path)


def test_blends_have_the_stroke_scales_that_all_have() -> None:
    def with_scales(seed: int, *scales: int) -> StyleStatistics:
        larger = (measured(seed + k, stroke_scale=k) for k in scales)
        return replace(measured(seed), larger=tuple(larger))

    blended = StyleStatistics.blend([with_scales(0, 2, 3, 5), with_scales(20, 3, 4, 5)], [1, 1])
    assert blended.stroke_scales == [1, 3, 5]
    assert blended.larger[0].underpainting is not None


def test_blend_of_statistics() -> None:
    first, second = measured(1), measured(2)
    alone = StyleStatistics.blend([first, second], [1, 0])
    assert torch.equal(alone.levels[0].covariance, first.levels[0].covariance)
    half = StyleStatistics.blend([first, second], [2, 2])
    expected = (first.levels[1].mean + second.levels[1].mean) / 2
    torch.testing.assert_close(half.levels[1].mean, expected)
    torch.linalg.cholesky(half.levels[1].covariance)  # a covariance still


def test_blends_have_underpaintings_of_their_own() -> None:
    members = [measured(seed, stroke_scale=2) for seed in (1, 2)]
    blended = StyleStatistics.blend(members, [1, 3])
    below = [member.underpainting for member in members if member.underpainting]
    assert blended.stroke_scale == 2
    assert blended.underpainting is not None
    torch.testing.assert_close(
        blended.underpainting.levels[0].mean, (below[0].levels[0].mean + 3 * below[1].levels[0].mean) / 4
    )


def test_styles_of_different_models_do_not_blend() -> None:
    with pytest.raises(OptionError, match="different models"):
        StyleStatistics.blend([measured(1, "a"), measured(1, "b")], [1, 1])
    with pytest.raises(OptionError, match="2 style weights for 1"):
        StyleStatistics.blend([measured(1)], [1, 1])


def test_statistics_are_no_weights(saved: Path) -> None:
    with pytest.raises(WeightsError, match="no style statistics"):
        StyleStatistics.load(saved)

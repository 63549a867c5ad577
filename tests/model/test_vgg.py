from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import conv2d, pad

from styletransfer.errors import WeightsError
from styletransfer.files import compute_sha256
from styletransfer.model import vgg
from styletransfer.model.vgg import VGG16, VGG19, load_vgg16, load_vgg19, needed_convolutions
from weights.perceptual import round_network

ROOT = Path(__file__).parents[2]


def random_tensors(names: dict[str, tuple[int, int]], seed: int = 0) -> dict[str, Tensor]:
    """Make kernels of the named convolutions; the values are (out, in) channels."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (out_channels, in_channels) in names.items():
        shape = (out_channels, in_channels, 3, 3)
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / (9 * in_channels)) ** 0.5
        tensors[f"{name}.bias"] = torch.randn(out_channels, generator=generator) * 0.1
    return tensors


def write_oxford(path: Path) -> dict[str, Tensor]:
    """Write conv1_1 ... conv2_1 under torchvision's names."""
    tensors = random_tensors({"features.0": (64, 3), "features.2": (64, 64), "features.5": (128, 64)})
    save_file(tensors, path)
    return tensors


def write_normalized(path: Path) -> dict[str, Tensor]:
    """Write the preprocessing and conv1_1 ... conv2_1 under the keys of WCT and AdaIN."""
    tensors = random_tensors({"2": (64, 3), "5": (64, 64), "9": (128, 64)})
    tensors["0.weight"], tensors["0.bias"] = torch.randn(3, 3, 1, 1), torch.randn(3)
    save_file(tensors, path)
    return tensors


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(2, 3, 13, 18, generator=torch.Generator().manual_seed(1))


def test_oxford_weights_see_bgr_minus_the_mean_color(tmp_path: Path, pictures: Tensor) -> None:
    tensors = write_oxford(tmp_path / "vgg.safetensors")
    network = load_vgg19(tmp_path / "vgg.safetensors", ["relu1_1"])
    mean = torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    preprocessed = pad(255 * pictures.flip(1) - mean, (1, 1, 1, 1), "reflect")
    expected = conv2d(preprocessed, tensors["features.0.weight"], tensors["features.0.bias"]).relu()
    torch.testing.assert_close(network(pictures)["relu1_1"], expected, rtol=1e-4, atol=1e-2)


def test_normalized_weights_see_the_preprocessing(tmp_path: Path, pictures: Tensor) -> None:
    tensors = write_normalized(tmp_path / "vgg.safetensors")
    network = load_vgg19(tmp_path / "vgg.safetensors", ["relu1_1"])
    preprocessed = conv2d(pictures, tensors["0.weight"], tensors["0.bias"])
    preprocessed = pad(preprocessed, (1, 1, 1, 1), "reflect")
    expected = conv2d(preprocessed, tensors["2.weight"], tensors["2.bias"]).relu()
    torch.testing.assert_close(network(pictures)["relu1_1"], expected, rtol=1e-4, atol=1e-4)


def test_blocks_are_joined_by_max_pooling(tmp_path: Path, pictures: Tensor) -> None:
    tensors = write_normalized(tmp_path / "vgg.safetensors")
    found = load_vgg19(tmp_path / "vgg.safetensors", ["relu1_2", "relu2_1"])(pictures)
    pooled = found["relu1_2"][:, :, :12].unflatten(2, (6, 2)).unflatten(4, (9, 2)).amax((3, 5))
    expected = conv2d(pad(pooled, (1, 1, 1, 1), "reflect"), tensors["9.weight"], tensors["9.bias"]).relu()
    torch.testing.assert_close(found["relu2_1"], expected, rtol=1e-4, atol=1e-4)


def test_layers_have_vgg_widths_and_only_what_is_needed_is_built(tmp_path: Path, pictures: Tensor) -> None:
    write_oxford(tmp_path / "vgg.safetensors")
    found = load_vgg19(tmp_path / "vgg.safetensors", ["relu2_1", "relu1_2"])(pictures)
    assert {name: tuple(layer.shape) for name, layer in found.items()} == {
        "relu1_2": (2, 64, 13, 18),
        "relu2_1": (2, 128, 6, 9),
    }
    shallow = load_vgg19(tmp_path / "vgg.safetensors", ["relu1_1"])
    assert sum(parameter.numel() for parameter in shallow.parameters()) == 64 * 28


def test_network_is_frozen_but_gradients_reach_the_pictures(tmp_path: Path, pictures: Tensor) -> None:
    write_normalized(tmp_path / "vgg.safetensors")
    network = load_vgg19(tmp_path / "vgg.safetensors", ["relu1_1", "relu2_1"])
    pictures.requires_grad_()
    sum(layer.mean() for layer in network(pictures).values()).backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().min() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.training


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_half_precision_and_memory_layout_change_little(
    tmp_path: Path, pictures: Tensor, layout: torch.memory_format
) -> None:
    write_normalized(tmp_path / "vgg.safetensors")
    network = load_vgg19(tmp_path / "vgg.safetensors", ["relu2_1"])
    exact = network(pictures)["relu2_1"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network.to(memory_format=layout)(pictures.contiguous(memory_format=layout))["relu2_1"]
    assert rounded.dtype == torch.bfloat16
    assert (rounded - exact).norm() < 0.02 * exact.norm()


def test_the_deepest_layers_sit_where_both_formats_put_them() -> None:
    last = needed_convolutions(["relu5_4"])[-1]
    assert (last.torchvision_index, last.normalized_index) == (34, 51)
    assert (last.in_channels, last.out_channels) == (512, 512)


def no_file(path: Path) -> None:
    pass


def not_safetensors(path: Path) -> None:
    path.write_bytes(b"\x80\x04 a pickle, perhaps")


def another_network(path: Path) -> None:
    save_file({"encoder.weight": torch.zeros(3, 3)}, path)


def wrong_shape(path: Path) -> None:
    save_file(random_tensors({"features.0": (64, 1)}), path)


@pytest.mark.parametrize(
    ("write", "layers", "message"),
    [
        (no_file, ["relu1_1"], "no such file"),
        (not_safetensors, ["relu1_1"], "cannot be read as safetensors"),
        (another_network, ["relu1_1"], "not a VGG-19"),
        (wrong_shape, ["relu1_1"], r"features.0.weight is \(64, 1, 3, 3\)"),
        (write_oxford, ["relu2_2"], "no relu2_2; the file offers relu1_1, relu1_2, relu2_1$"),
        (write_oxford, ["conv9"], "VGG-19 has no layer conv9"),
        (write_oxford, [], "VGG-19 has no layer"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, write: Callable[[Path], object], layers: list[str], message: str
) -> None:
    write(tmp_path / "vgg.safetensors")
    with pytest.raises(WeightsError, match=message) as caught:
        load_vgg19(tmp_path / "vgg.safetensors", layers)
    assert "\n" not in str(caught.value)


def test_torchvision_out_of_reach_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # A proxy that nobody listens on: the download fails at once, on any machine.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="name a safetensors file"):
        load_vgg19(None, ["relu4_1"])
    written = capsys.readouterr()
    assert "Downloading" in written.err
    assert written.out == ""


def test_the_shipped_network_reaches_relu3_4_offline(
    pictures: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    network = load_vgg19(None, ["relu1_1", "relu3_4"])
    found = network(pictures)
    assert list(network.convolutions)[-1] == "3_4"
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    # Black and white pictures differ, so the network sees the picture and not its biases alone.
    dark, bright = (network(torch.full_like(pictures, value))["relu3_4"] for value in (0.0, 1.0))
    assert found["relu3_4"].shape == (2, 256, 3, 4)
    assert (dark - bright).norm() > 0.1 * bright.norm()


def test_a_damaged_shipped_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg, "WEIGHTS_FOLDERS", (tmp_path,))
    with pytest.raises(WeightsError, match=r"vgg19\.safetensors is missing from .*; install"):
        load_vgg19(None)
    write_oxford(tmp_path / vgg.SHIPPED)
    with pytest.raises(WeightsError, match="is damaged; install styletransfer again"):
        load_vgg19(None, ["relu1_1"])


def test_the_shipped_network_is_the_published_one_rounded(shared_data: Path, pictures: Tensor) -> None:
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu3_4"]
    published = load_vgg19(shared_data / "networks" / "vgg19_conv1_1-conv3_4.safetensors", layers)(pictures)
    for layer, features in load_vgg19(None, layers)(pictures).items():
        assert (features - published[layer]).norm() < 1e-3 * published[layer].norm()


# The convolutions up to relu4_1 of VGG-16 in a file; those of VGG-19 lie two indices further from there on.
VGG16_FILE = {
    "features.0": (64, 3),
    "features.2": (64, 64),
    "features.5": (128, 64),
    "features.7": (128, 128),
    "features.10": (256, 128),
    "features.12": (256, 256),
    "features.14": (256, 256),
    "features.17": (512, 256),
}


def test_vgg16_has_three_convolutions_in_its_third_block(tmp_path: Path) -> None:
    save_file(random_tensors(VGG16_FILE), tmp_path / "vgg16.safetensors")
    network = load_vgg16(tmp_path / "vgg16.safetensors", ["relu3_3", "relu4_1"])
    assert isinstance(network, VGG16)
    found = network(torch.rand(1, 3, 32, 48))
    assert {name: tuple(layer.shape) for name, layer in found.items()} == {
        "relu3_3": (1, 256, 8, 12),
        "relu4_1": (1, 512, 4, 6),
    }
    last = needed_convolutions(["relu5_3"], VGG16)[-1]
    assert (last.torchvision_index, last.in_channels, last.out_channels) == (28, 512, 512)
    with pytest.raises(WeightsError, match="VGG-16 has no layer relu3_4"):
        load_vgg16(tmp_path / "vgg16.safetensors", ["relu3_4"])


def test_vgg16_and_vgg19_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    """Their first seven convolutions have the same names and shapes."""
    save_file(random_tensors(VGG16_FILE), tmp_path / "vgg16.safetensors")
    with pytest.raises(WeightsError, match="not a VGG-19"):
        load_vgg19(tmp_path / "vgg16.safetensors", ["relu1_1"])
    names = [each.torchvision_index for each in needed_convolutions(["relu3_4"])]
    shapes = {f"features.{index}": VGG16_FILE.get(f"features.{index}", (256, 256)) for index in names}
    save_file(random_tensors(shapes), tmp_path / "vgg19.safetensors")
    with pytest.raises(WeightsError, match="not a VGG-16"):
        load_vgg16(tmp_path / "vgg19.safetensors", ["relu1_1"])


def test_the_normalized_network_is_the_oxford_one_rescaled(shared_data: Path) -> None:
    """Both published files, read by two different paths, agree up to one factor per channel."""
    networks = shared_data / "networks"
    oxford = load_vgg19(networks / "vgg19_conv1_1-conv3_4.safetensors")
    normalized = load_vgg19(networks / "vgg_normalised_conv1_1-conv3_1.safetensors")
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    for ours, theirs in zip(oxford(picture).values(), normalized(picture).values(), strict=True):
        # [C, N], each channel scaled to unit length; channels that are dark throughout say nothing.
        ours, theirs = ours[0].flatten(1), theirs[0].flatten(1)
        lit = ours.norm(dim=1) > 1e-2 * ours.norm(dim=1).median()
        cosine = torch.cosine_similarity(ours[lit], theirs[lit], dim=1)
        assert cosine.min() > 0.999


def test_a_file_is_read_no_further_than_needed(shared_data: Path) -> None:
    path = shared_data / "networks" / "vgg19_conv1_1-conv3_4.safetensors"
    network = load_vgg19(path, ["relu2_1"])
    assert isinstance(network, VGG19)
    assert list(network.convolutions) == ["1_1", "1_2", "2_1"]
    stored = load_file(path)
    torch.testing.assert_close(network.convolutions["2_1"].weight, stored["features.5.weight"])


def test_the_shipped_network_is_made_by_its_script(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "networks" / "vgg19_conv1_1-conv3_4.safetensors"
    round_network(source, tmp_path / vgg.SHIPPED)
    assert compute_sha256(tmp_path / vgg.SHIPPED) == vgg.SHIPPED_SHA256


def test_weights_too_large_for_float16_are_refused(tmp_path: Path) -> None:
    shapes = {
        f"features.{each.torchvision_index}": (each.out_channels, each.in_channels)
        for each in needed_convolutions(["relu3_4"])
    }
    tensors = random_tensors(shapes)
    tensors["features.16.bias"][7] = 1e5
    save_file(tensors, tmp_path / "vgg.safetensors")
    with pytest.raises(OverflowError, match=r"features\.16\.bias is too large for float16"):
        round_network(tmp_path / "vgg.safetensors", tmp_path / "rounded.safetensors")
    assert not (tmp_path / "rounded.safetensors").exists()


def test_the_wheel_holds_the_shipped_network_and_its_license() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = document["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for name in (vgg.SHIPPED, "VGG19-LICENSE.md"):
        assert included[f"weights/{name}"] == f"styletransfer/weights/{name}"
        assert (ROOT / "weights" / name).is_file()
    assert "weights/VGG19-LICENSE.md" in document["project"]["license-files"]

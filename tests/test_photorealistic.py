"""The photorealistic model: invertible, the same under every strip and limit, through every option."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from styletransfer import Stylizer
from styletransfer.errors import MemoryLimitError, OptionError
from styletransfer.linalg import Statistics
from styletransfer.media import Picture, read_picture, resize_picture
from styletransfer.model import CouplingArchitecture, CouplingNetwork, load_model, save_model
from styletransfer.model.coupling_network import measure_features
from styletransfer.options import RuntimeOptions, StylizeOptions
from styletransfer.photorealistic.guided_upsampling import FIT_STEP, apply_functions, fit_functions
from styletransfer.photorealistic.strips import list_strips
from styletransfer.transfer.local_affine import fit_local_affine, matting_energy
from styletransfer.transfer.monge_map import LARGEST_GAIN, bounded_monge_map

EXAMPLES = Path(__file__).parents[1] / "examples" / "content"
SMALL = CouplingArchitecture(8, (6, 6, 6, 6), (1, 2, 1, 1), (1, 1, 4, 1))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("photo") / "photo.safetensors"
    save_model(CouplingNetwork(SMALL), path)
    return path


def open_stylizer(weights: Path, **runtime: object) -> Stylizer:
    settings: dict[str, object] = {"device": "cpu", "precision": "fp32", **runtime}
    return Stylizer(weights, runtime=RuntimeOptions(**settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stylizer(weights: Path) -> Stylizer:
    return open_stylizer(weights)


def read_photo(name: str, edge: int) -> Tensor:
    return resize_picture(read_picture(EXAMPLES / name), edge).to_float()


CONTENT, STYLE = read_photo("chelsea.jpg", 96), read_photo("coffee.jpg", 96)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 1), (17, 33), (64, 64)])
def test_decoding_undoes_encoding(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    network, picture = CouplingNetwork(), torch.rand(2, 3, *size)
    with torch.no_grad():
        decoded, empty = network.decode(network.encode(picture))
    torch.testing.assert_close(decoded, picture, atol=2e-6, rtol=0)
    assert empty.abs().max() < 2e-6


def test_features_move_with_the_picture() -> None:
    """By any number of pixels without pooling, by blocks or half blocks with it."""
    torch.manual_seed(2)
    picture = torch.rand(1, 3, 128, 128)
    for pool, shift in ((1, 3), (2, 4), (4, 2), (8, 4)):
        network = CouplingNetwork(CouplingArchitecture(8, (6, 6), (1, 2), (1, pool)))
        with torch.no_grad():
            whole, moved = network.encode(picture), network.encode(picture[..., shift:, shift:])
        inside = slice(60, 64)
        there = slice(60 + shift, 64 + shift)
        torch.testing.assert_close(moved[..., inside, inside], whole[..., there, there], atol=1e-5, rtol=0)


def test_gains_are_bounded_and_gradients_exact() -> None:
    torch.manual_seed(3)
    a, b = (torch.randn(1, 5, 400, dtype=torch.float64) for _ in range(2))
    b = b * torch.tensor([0.01, 0.5, 1, 2, 100.0]).view(1, 5, 1)

    def map_of(first: Tensor, second: Tensor) -> Tensor:
        own, target = measure(first), measure(second)
        return torch.cat([part.flatten() for part in bounded_monge_map(own, target, 0.7)])

    def measure(features: Tensor) -> Statistics:
        mean = features.mean(2)
        centered = features - mean.unsqueeze(2)
        covariance = centered @ centered.mT / features.shape[2]
        return Statistics(mean, covariance, torch.tensor([400.0], dtype=torch.float64))

    matrix, _ = bounded_monge_map(measure(a), measure(b))
    eigenvalues = torch.linalg.eigvalsh(matrix[0])
    assert eigenvalues.min() >= 1 / LARGEST_GAIN - 1e-9
    assert eigenvalues.max() <= LARGEST_GAIN + 1e-9
    small = [each[..., :8].clone().requires_grad_() for each in (a, b)]
    assert torch.autograd.gradcheck(map_of, small, atol=1e-6)


def test_equal_statistics_change_nothing(stylizer: Stylizer) -> None:
    result = stylizer.stylize(CONTENT, CONTENT)
    inside = (CONTENT > 0.05) & (CONTENT < 0.95)  # the rest is clipped softly
    torch.testing.assert_close(result[inside], CONTENT[inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize("tile", [4, 8, 20, 64])
@pytest.mark.parametrize("size", [(70, 96), (71, 50), (33, 96)])
def test_strips_do_not_show(weights: Path, stylizer: Stylizer, tile: int, size: tuple[int, int]) -> None:
    content = CONTENT[..., : size[0], : size[1]]
    expected = stylizer.stylize(content, STYLE)
    found = open_stylizer(weights, tile=tile).stylize(content, STYLE)
    torch.testing.assert_close(found, expected, atol=4e-5, rtol=0)


def test_strips_cover_the_picture_on_the_grid_of_blocks() -> None:
    strips = list(list_strips(SMALL, 70, 8))
    assert [strip.rows.start for strip in strips] == list(range(0, 70, 8))
    assert strips[-1].rows.stop == 70
    for strip in strips:
        edges = (strip.inner.start, strip.inner.stop, strip.outer.start, strip.outer.stop)
        assert all(edge in {0, 70} or edge % SMALL.stride == 0 for edge in edges)


def test_memory_limits_are_exact_or_refused(weights: Path, stylizer: Stylizer) -> None:
    content = torch.rand(3, 300, 400, generator=torch.Generator().manual_seed(0))
    limited = open_stylizer(weights, max_memory="40M").stylize(content, STYLE)
    torch.testing.assert_close(limited, stylizer.stylize(content, STYLE), atol=1e-4, rtol=0)
    with pytest.raises(MemoryLimitError, match="4M is the limit"):
        open_stylizer(weights, max_memory="4M").stylize(content, STYLE)


def test_alpha_zero_is_the_content_to_the_bit(stylizer: Stylizer) -> None:
    content = read_picture(EXAMPLES / "chelsea.jpg")
    result = stylizer.stylize(content, STYLE, alpha=0)
    assert result.pixels.equal(content.pixels)
    distances = [
        (stylizer.stylize(CONTENT, STYLE, alpha=alpha) - CONTENT).abs().mean().item()
        for alpha in (0, 0.3, 0.6, 1)
    ]
    assert distances == sorted(distances)


def test_masks_keep_what_is_outside_and_blend(stylizer: Stylizer) -> None:
    height, width = CONTENT.shape[-2:]
    mask = torch.zeros(height, width)
    mask[:, : width // 2] = 1
    masked = stylizer.stylize(CONTENT, STYLE, mask=mask.numpy())
    torch.testing.assert_close(masked[..., width // 2 :], CONTENT[..., width // 2 :], atol=1e-6, rtol=0)
    assert (masked - CONTENT)[..., : width // 2].abs().mean() > 0.02
    ones = stylizer.stylize(CONTENT, STYLE, mask=torch.ones(height, width).numpy())
    assert ones.equal(stylizer.stylize(CONTENT, STYLE))
    blended = stylizer.stylize(CONTENT, [STYLE, CONTENT], style_weights=(1, 1))
    between = (stylizer.stylize(CONTENT, STYLE) - CONTENT).abs().mean() - (blended - CONTENT).abs().mean()
    assert between > 0


def test_large_pictures_keep_their_detail_through_a_copy(weights: Path) -> None:
    """The functions of a copy are applied to all pixels, strip by strip."""
    content = torch.nn.functional.interpolate(CONTENT, size=(300, 2050), mode="bicubic").clamp(0, 1)
    content = (content + 0.05 * torch.randn(content.shape, generator=torch.Generator().manual_seed(0))).clamp(
        0, 1
    )
    stylizer = open_stylizer(weights)
    result = stylizer.stylize(content, STYLE)
    assert result.shape == content.shape
    assert matting_energy(content, result, 8).item() / result.var().item() < 0.02


def test_the_functions_of_a_global_map_are_that_map() -> None:
    matrix, offset = torch.tensor([[0.5, 0.2, 0], [0.1, 0.7, 0], [0, 0, 1.2]]), torch.tensor([0.1, 0, -0.1])
    noisy = torch.rand(3, 90, 70, generator=torch.Generator().manual_seed(0))
    expected = torch.einsum("ij,jhw->ihw", matrix, noisy) + offset.view(3, 1, 1)
    functions = fit_functions(noisy, expected)
    found = torch.empty_like(noisy)

    def store(start: int, strip: Tensor) -> None:
        found[:, start : start + strip.shape[1]] = strip / 255

    apply_functions(noisy, functions, FIT_STEP, store, lambda share: None)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)


def test_the_matting_energy_is_the_least_squares_residual() -> None:
    content, result = torch.rand(2, 1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    model = fit_local_affine(content, result, 1, 1e-9)
    window = content[0, :, 3:6, 4:7].flatten(1).double()
    target = result[0, :, 3:6, 4:7].flatten(1).double()
    design = torch.cat([window, torch.ones(1, 9, dtype=torch.float64)]).T
    residual = target.T - design @ torch.linalg.lstsq(design, target.T).solution
    assert model.residual[0, 4, 5].item() == pytest.approx(residual.square().sum().item() / 9, rel=1e-4)
    assert matting_energy(content, 0.3 * content + 0.2, 2).item() < 1e-5


def test_what_paints_is_refused(stylizer: Stylizer) -> None:
    for options in (StylizeOptions(refine=2), StylizeOptions(stroke_scale=2), StylizeOptions(passes=2)):
        with pytest.raises(OptionError, match="paints no strokes"):
            stylizer.stylize(CONTENT, STYLE, options)


def test_transparent_pixels_of_a_style_do_not_count(stylizer: Stylizer) -> None:
    pixels = (STYLE[0] * 255).round().to(torch.uint8)
    alpha = torch.full((1, *pixels.shape[1:]), 255, dtype=torch.uint8)
    alpha[..., :40] = 0
    hidden = pixels.clone()
    hidden[..., :40] = 0
    content = Picture((CONTENT[0] * 255).round().to(torch.uint8))
    results = [stylizer.stylize(content, Picture(each, alpha)) for each in (pixels, hidden)]
    assert (results[0].pixels.int() - results[1].pixels.int()).abs().max() <= 3


def test_weights_files_say_what_they_hold(weights: Path) -> None:
    network = load_model(weights).network
    assert isinstance(network, CouplingNetwork)
    assert network.architecture == SMALL
    assert measure_features(network.encode(CONTENT)).mean.shape == (1, 8)

"""Terms of the loss: what each of them sees, and what it does not."""

from __future__ import annotations

import pytest
import torch

from styletransfer.model.vgg import VGG19
from styletransfer.training.transfer_loss import average_octaves, simulate_next_frame
from styletransfer.transfer.losses import color_distance, content_distance, patch_distance, style_distance


def test_style_and_content_see_what_they_should_and_nothing_else(perceptual: VGG19) -> None:
    features = perceptual(torch.rand(2, 3, 32, 32))
    other = perceptual(torch.rand(2, 3, 32, 32) * torch.tensor([1.0, 0.2, 0.1]).view(3, 1, 1))
    assert style_distance(features, features) == 0
    assert style_distance(other, features) > 0.1
    # Gram matrices do not depend on positions, and normalized features do not depend on contrast.
    moved = {name: layer.flip(-1) for name, layer in features.items()}
    assert style_distance(moved, features) < 1e-6
    target = features["relu3_1"]
    assert content_distance(3 * target + 1, target) < 0.01  # the eps of the normalization
    assert content_distance(target.flip(-1), target) > 0.1


def test_patches_see_where_features_lie() -> None:
    features = torch.randn(2, 5, 12, 12, generator=torch.Generator().manual_seed(0))
    assert patch_distance(features, features).abs() < 1e-6
    # Moved as a whole, most patches are still there; scattered, none is, though the Gram matrix is the same.
    assert patch_distance(features.roll(3, 3), features) < 0.25
    scattered = features.flatten(2)[..., torch.randperm(144)].view_as(features)
    assert style_distance({"a": scattered}, {"a": features}) < 1e-6
    assert patch_distance(scattered, features) > 0.4


def test_patches_that_the_output_lacks_count_too() -> None:
    features = torch.randn(1, 5, 12, 24, generator=torch.Generator().manual_seed(0))
    half = features[..., :12]
    assert patch_distance(half, features) > 0.15
    assert patch_distance(features, half) > 0.15


@pytest.mark.parametrize(("decay", "expected"), [(0.0, 4.0), (0.5, 3.0), (1.0, 7 / 3)])
def test_fine_octaves_weigh_more_by_the_decay(decay: float, expected: float) -> None:
    distances = [torch.tensor(value) for value in (4.0, 2.0, 1.0)]
    assert average_octaves(distances, decay) == pytest.approx(expected)


def test_colors_are_compared_regardless_of_their_positions() -> None:
    picture = torch.rand(2, 3, 34, 34)
    assert color_distance(picture, picture) == 0
    scattered = picture.flatten(2)[..., torch.randperm(34 * 34)].view_as(picture)
    assert color_distance(scattered, picture) < 0.05  # the stride samples other pixels of the same colors
    assert color_distance(picture * 0.5, picture) > 0.1
    speckled = picture.clone()
    speckled[:, 0, ::9, ::9] = 5.0
    assert color_distance(speckled, picture) > 0.05


def test_the_next_frame_is_shifted_and_noisy() -> None:
    picture = torch.full((2, 3, 20, 20), 0.5)
    picture[..., 10, 10] = 1
    frame = simulate_next_frame(picture)
    assert frame.shape == (2, 3, 19, 17)
    assert (frame[..., 9, 7] > 0.9).all()
    assert 0.6 < (frame[0] - picture[0, :, 1:, 3:]).std() * 255 / 2 < 1.4
    assert torch.equal(frame[0], frame[1])


def test_a_flat_content_does_not_outvote_the_rest_of_its_batch(perceptual: VGG19) -> None:
    contents = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    contents[3] = 0.5  # a white background or a burnt-out sky
    outputs = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    target, output = (perceptual(pictures)["relu3_1"] for pictures in (contents, outputs))
    terms = [content_distance(output[i : i + 1], target[i : i + 1]).item() for i in range(4)]
    assert terms[3] < sum(terms[:3])
    content_distance(output, target).backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    gradients = outputs.grad.flatten(1).norm(dim=1)
    assert gradients[3] < gradients[:3].sum()

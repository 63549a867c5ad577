"""VGG-19, frozen: the perceptual network in whose features style and content are compared.

Pictures go in as RGB in 0..1 whatever the weights were trained on. The preprocessing is affine, so it is
folded into the first convolution. Padding reflects the picture, so that this is exact at the borders too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import WeightsError

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1")


class Convolution(NamedTuple):
    """One 3x3 convolution of VGG-19 and its place in the two common file formats.

    Attributes:
        name: Such as "3_1", the first convolution of the third block.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        torchvision_index: Index in torchvision's `features`, which counts convolutions, ReLUs and poolings.
        normalized_index: Index in the network of WCT and AdaIN, which also counts paddings and starts with a
            1x1 convolution.
    """

    name: str
    in_channels: int
    out_channels: int
    torchvision_index: int
    normalized_index: int

    @property
    def starts_block(self) -> bool:
        """Whether a pooling precedes this convolution."""
        return self.name.endswith("_1") and self.name != "1_1"


def _list_convolutions() -> dict[str, Convolution]:
    """Return the sixteen convolutions by name, in the order of computation."""
    blocks = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))  # (convolutions, channels)
    convolutions: dict[str, Convolution] = {}
    channels = 3
    for poolings, (count, width) in enumerate(blocks):
        for position in range(1, count + 1):
            name, before = f"{poolings + 1}_{position}", len(convolutions)
            convolutions[name] = Convolution(
                name, channels, width, 2 * before + poolings, 2 + 3 * before + poolings
            )
            channels = width
    return convolutions


CONVOLUTIONS = _list_convolutions()
# Key of each convolution in the two file formats; ".weight" or ".bias" follows it.
TORCHVISION_KEYS = {name: f"features.{each.torchvision_index}" for name, each in CONVOLUTIONS.items()}
NORMALIZED_KEYS = {name: str(each.normalized_index) for name, each in CONVOLUTIONS.items()}

Kernel = tuple[Tensor, Tensor]  # weight [out, in, 3, 3] and bias [out]


class VGG19(nn.Module):
    """The first convolutions of VGG-19, frozen, with reflection padding and max pooling.

    Only the convolutions up to the deepest requested layer are built.

    Args:
        kernels: Weight and bias of every convolution needed, by name ("1_1", "1_2", ...). The first one
            takes RGB in 0..1.
        layers: Names of the layers that `forward` returns, from "relu1_1" to "relu5_4".
    """

    def __init__(self, kernels: Mapping[str, Kernel], layers: Sequence[str] = STYLE_LAYERS) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.convolutions = nn.ModuleDict()
        for convolution in needed_convolutions(layers):
            module = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3)
            weight, bias = kernels[convolution.name]
            module.load_state_dict({"weight": weight, "bias": bias})
            self.convolutions[convolution.name] = module
        # Channels last saves a third of the time on CPUs and suits tensor cores.
        self.to(memory_format=torch.channels_last)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Compute the requested layers.

        Args:
            pictures: RGB in 0..1, [B, 3, H, W]. Both sides must have at least two pixels at the deepest layer
                (8 pixels for relu3_1, 32 for relu5_1).

        Returns:
            Features [B, C, H / s, W / s] after the ReLU by layer name, s = 1, 2, 4, 8, 16 for blocks 1 to 5.
        """
        features = pictures
        found: dict[str, Tensor] = {}
        for name, convolution in self.convolutions.items():
            if CONVOLUTIONS[name].starts_block:
                features = nn.functional.max_pool2d(features, 2)
            # Autocast would convert every map to float32 for padding, and back.
            with torch.autocast(features.device.type, enabled=False):
                features = nn.functional.pad(features, (1, 1, 1, 1), mode="reflect")
            features = nn.functional.relu(convolution(features), inplace=True)
            if f"relu{name}" in self.layers:
                found[f"relu{name}"] = features
        return found


def needed_convolutions(layers: Sequence[str]) -> list[Convolution]:
    """List the convolutions up to the deepest of some layers.

    Raises:
        WeightsError: VGG-19 has no such layer, or none is named.
    """
    names = list(CONVOLUTIONS)
    unknown = [layer for layer in layers if layer.removeprefix("relu") not in names]
    if unknown or not layers:
        raise WeightsError(
            f"VGG-19 has no layer {', '.join(unknown) or '(none was named)'}",
            hint=f"its layers are {', '.join(f'relu{name}' for name in names)}",
        )
    depth = max(names.index(layer.removeprefix("relu")) for layer in layers)
    return [CONVOLUTIONS[name] for name in names[: depth + 1]]


def load_vgg19(path: Path | None = None, layers: Sequence[str] = STYLE_LAYERS) -> VGG19:
    """Load VGG-19 from a safetensors file, or torchvision's weights.

    Two formats are recognized by their keys: torchvision's names (`features.0.weight`, ...) with the original
    Oxford weights, whose input is BGR in 0..255 minus the mean color; and the normalized VGG of WCT and
    AdaIN (`0.weight`, `2.weight`, `5.weight`, ...), whose input is RGB in 0..1.

    Args:
        path: The file. None is torchvision's VGG-19, which is downloaded (548 MB) unless torch has cached it.
        layers: Names of the layers that the network returns.

    Raises:
        WeightsError: The file is missing, damaged or of another format, a convolution has a wrong shape, a
            requested layer is missing, or torchvision's weights cannot be downloaded.
    """
    convolutions = needed_convolutions(layers)
    kernels = _fetch_torchvision(convolutions) if path is None else _read_file(path, convolutions)
    return VGG19(kernels, layers)


def _read_file(path: Path, convolutions: Sequence[Convolution]) -> dict[str, Kernel]:
    """Read the kernels of some convolutions and make the first one take RGB in 0..1."""
    try:
        with safe_open(path, framework="pt") as file:
            keys = set(file.keys())
            if "features.0.weight" in keys:
                kernels = _read_kernels(path, keys, file.get_tensor, convolutions, TORCHVISION_KEYS)
                kernels["1_1"] = _fold_bgr_mean(kernels["1_1"])
            elif "0.weight" in keys and file.get_slice("0.weight").get_shape() == [3, 3, 1, 1]:
                kernels = _read_kernels(path, keys, file.get_tensor, convolutions, NORMALIZED_KEYS)
                preprocessing = (file.get_tensor("0.weight").float(), file.get_tensor("0.bias").float())
                kernels["1_1"] = _fold_preprocessing(kernels["1_1"], *preprocessing)
            else:
                raise WeightsError(
                    f"{path}: not a VGG-19",
                    hint="it must have torchvision's names (features.0.weight, ...) or those of the VGG "
                    "normalized by WCT and AdaIN (0.weight of 3 x 3 x 1 x 1, ...)",
                )
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file", hint="name a safetensors file with VGG-19") from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors ({error})") from error
    return kernels


def _read_kernels(
    path: Path,
    keys: set[str],
    get_tensor: Callable[[str], Tensor],
    convolutions: Sequence[Convolution],
    file_keys: Mapping[str, str],
) -> dict[str, Kernel]:
    """Read kernels as float32 and check that none is missing and that their shapes are VGG-19's."""
    offered = [f"relu{name}" for name, key in file_keys.items() if {f"{key}.weight", f"{key}.bias"} <= keys]
    missing = [f"relu{each.name}" for each in convolutions if f"relu{each.name}" not in offered]
    if missing:
        raise WeightsError(
            f"{path}: no {', '.join(missing)}", hint=f"the file offers {', '.join(offered) or 'no layer'}"
        )
    kernels: dict[str, Kernel] = {}
    for convolution in convolutions:
        key = file_keys[convolution.name]
        weight, bias = get_tensor(f"{key}.weight").float(), get_tensor(f"{key}.bias").float()
        expected = (convolution.out_channels, convolution.in_channels, 3, 3)
        if weight.shape != expected or bias.shape != expected[:1]:
            raise WeightsError(
                f"{path}: {key}.weight is {tuple(weight.shape)} and its bias {tuple(bias.shape)}",
                hint=f"conv{convolution.name} of VGG-19 is {expected} and {expected[:1]}",
            )
        kernels[convolution.name] = weight, bias
    return kernels


def _fold_bgr_mean(kernel: Kernel) -> Kernel:
    """Make a first convolution that takes BGR in 0..255 minus the mean color take RGB in 0..1.

    Source: Simonyan & Zisserman 2014 (arXiv 1409.1556); the mean color is that of the published Caffe model.
    """
    mean = torch.tensor([103.939, 116.779, 123.68])
    # x_bgr = P x - mean with P = 255 * (reversal of the channels).
    reversal = 255 * torch.eye(3).flip(0)
    return _fold_preprocessing(kernel, reversal[:, :, None, None], -mean)


def _fold_preprocessing(kernel: Kernel, weight: Tensor, bias: Tensor) -> Kernel:
    """Fold a 1x1 convolution (weight [3, 3, 1, 1], bias [3]) into the 3x3 convolution that follows it."""
    first_weight, first_bias = kernel
    folded_weight = torch.einsum("oikl,ij->ojkl", first_weight, weight[:, :, 0, 0])
    folded_bias = first_bias + torch.einsum("oikl,i->o", first_weight, bias)
    return folded_weight, folded_bias


def _fetch_torchvision(convolutions: Sequence[Convolution]) -> dict[str, Kernel]:
    """Load torchvision's VGG-19, whose input is RGB in 0..1, standardized per channel."""
    try:
        from torchvision.models import VGG19_Weights

        state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=sys.stderr.isatty(), check_hash=True)
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"torchvision's VGG-19 cannot be downloaded ({reason})",
            hint="connect once to download it, or name a safetensors file with VGG-19",
        ) from error
    kernels: dict[str, Kernel] = {}
    for convolution in convolutions:
        key = TORCHVISION_KEYS[convolution.name]
        kernels[convolution.name] = state[f"{key}.weight"], state[f"{key}.bias"]
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaling = torch.diag(1 / deviation)
    kernels["1_1"] = _fold_preprocessing(kernels["1_1"], scaling[:, :, None, None], -mean / deviation)
    return kernels

"""VGG-19 and VGG-16, frozen: the perceptual networks in whose features styles and contents are compared.

The input is RGB in 0..1 for every file of weights. Its own preprocessing is affine, so it is folded into the
first convolution. Padding reflects the picture, so that this is exact at the borders too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import WeightsError
from ..files import compute_sha256
from .weights import WEIGHTS_FOLDERS

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1")  # of VGG-19
DEEP_LAYERS = ("relu4_1", "relu5_1")  # of VGG-16

# The VGG-19 that ships with the package, made by weights/perceptual.py, and the last of its convolutions.
SHIPPED = "vgg19.safetensors"
SHIPPED_SHA256 = "15ac24424dbb9678031db6bff09cdb4d66be8198bd96b172d7f79ad6aeb5cccc"
SHIPPED_DEPTH = "3_4"


class Convolution(NamedTuple):
    """One 3x3 convolution of a VGG network and its place in the two common file formats.

    Attributes:
        name: Such as "3_1", the first convolution of the third block.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        torchvision_index: Index in torchvision's `features`, which counts convolutions, ReLUs and poolings.
        normalized_index: Index in the VGG-19 of WCT and AdaIN, which also counts paddings and starts with a
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


def _list_convolutions(counts: Sequence[int]) -> dict[str, Convolution]:
    """List the convolutions by name, in the order of computation, given their number in each block."""
    convolutions: dict[str, Convolution] = {}
    channels = 3
    for poolings, (count, width) in enumerate(zip(counts, (64, 128, 256, 512, 512), strict=True)):
        for position in range(1, count + 1):
            name, before = f"{poolings + 1}_{position}", len(convolutions)
            convolutions[name] = Convolution(
                name, channels, width, 2 * before + poolings, 2 + 3 * before + poolings
            )
            channels = width
    return convolutions


Kernel = tuple[Tensor, Tensor]  # weight [out, in, 3, 3] and bias [out]


class VGG(nn.Module):
    """The first convolutions of a VGG network, frozen, with reflection padding and max pooling.

    Only the convolutions up to the deepest requested layer are built.

    Args:
        kernels: Weight and bias of every convolution needed, by name ("1_1", "1_2", ...). The first one
            takes RGB in 0..1.
        layers: Names of the layers that `forward` returns, such as "relu1_1".

    Attributes:
        title: Name of the network in messages.
        table: All convolutions of the network by name, in the order of computation.
    """

    title: ClassVar[str]
    table: ClassVar[Mapping[str, Convolution]]

    def __init__(self, kernels: Mapping[str, Kernel], layers: Sequence[str] = STYLE_LAYERS) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.convolutions = nn.ModuleDict()
        for convolution in needed_convolutions(layers, type(self)):
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
            if self.table[name].starts_block:
                features = nn.functional.max_pool2d(features, 2)
            # Autocast would convert every map to float32 for padding, and back.
            with torch.autocast(features.device.type, enabled=False):
                features = nn.functional.pad(features, (1, 1, 1, 1), mode="reflect")
            features = nn.functional.relu(convolution(features), inplace=True)
            if f"relu{name}" in self.layers:
                found[f"relu{name}"] = features
        return found


class VGG19(VGG):
    """VGG-19, whose sixteen convolutions are named "1_1" to "5_4"; see `VGG`."""

    title = "VGG-19"
    table = _list_convolutions((2, 2, 4, 4, 4))


class VGG16(VGG):
    """VGG-16, whose thirteen convolutions are named "1_1" to "5_3"; see `VGG`."""

    title = "VGG-16"
    table = _list_convolutions((2, 2, 3, 3, 3))


# Keys of the convolutions of VGG-19 in a file with torchvision's names; ".weight" or ".bias" follows them.
TORCHVISION_KEYS = {name: f"features.{each.torchvision_index}" for name, each in VGG19.table.items()}

Network = TypeVar("Network", bound=VGG)


def needed_convolutions(layers: Sequence[str], network: type[VGG] = VGG19) -> list[Convolution]:
    """List the convolutions up to the deepest of the given layers.

    Raises:
        WeightsError: The network has no such layer, or no layer is named.
    """
    names = list(network.table)
    unknown = [layer for layer in layers if layer.removeprefix("relu") not in names]
    if unknown or not layers:
        raise WeightsError(
            f"{network.title} has no layer {', '.join(unknown) or '(none was named)'}",
            hint=f"its layers are {', '.join(f'relu{name}' for name in names)}",
        )
    depth = max(names.index(layer.removeprefix("relu")) for layer in layers)
    return [network.table[name] for name in names[: depth + 1]]


def load_vgg19(path: Path | None = None, layers: Sequence[str] = STYLE_LAYERS) -> VGG19:
    """Load VGG-19: the one that ships with the package, another safetensors file, or torchvision's.

    Two formats of files are recognized by their keys: torchvision's names (`features.0.weight`, ...) with the
    original Oxford weights, whose input is BGR in 0..255 minus the mean color; and the normalized VGG-19 of
    WCT and AdaIN (`0.weight`, `2.weight`, `5.weight`, ...), whose input is RGB in 0..1.

    Args:
        path: The file. None is the Oxford VGG-19 that ships with the package if it has all requested layers.
            It ends at relu3_4. For deeper layers None is torchvision's VGG-19, a different training, which is
            downloaded (548 MB) unless torch has cached it.
        layers: Names of the layers that the network returns.

    Raises:
        WeightsError: The file is missing, damaged or of another format, a convolution has a wrong shape, a
            requested layer is missing, or torchvision's weights cannot be downloaded.
    """
    if path is None:
        names = [convolution.name for convolution in needed_convolutions(layers)]
        if names[-1] not in list(VGG19.table)[: list(VGG19.table).index(SHIPPED_DEPTH) + 1]:
            return VGG19(_fetch_torchvision(names), layers)
        path = _find_shipped()
    return _load(VGG19, path, layers)


def load_vgg16(path: Path, layers: Sequence[str] = DEEP_LAYERS) -> VGG16:
    """Load VGG-16 from a safetensors file with torchvision's names and the original Oxford weights.

    Args:
        path: The file. Its input is BGR in 0..255 minus the mean color.
        layers: Names of the layers that the network returns.

    Raises:
        WeightsError: The file is missing, damaged or of another format, a convolution has a wrong shape, or a
            requested layer is missing.
    """
    return _load(VGG16, path, layers)


def _find_shipped() -> Path:
    """Find the VGG-19 that ships with the package and check its hash."""
    for folder in WEIGHTS_FOLDERS:
        path = folder / SHIPPED
        if path.is_file():
            if compute_sha256(path) != SHIPPED_SHA256:
                raise WeightsError(f"{path} is damaged", hint="install styletransfer again")
            return path
    raise WeightsError(
        f"the perceptual network {SHIPPED} is missing from {WEIGHTS_FOLDERS[0]}",
        hint="install styletransfer again, or name a safetensors file with VGG-19",
    )


def _load(network: type[Network], path: Path, layers: Sequence[str]) -> Network:
    """Read the convolutions that a network needs and make the first one take RGB in 0..1."""
    names = [convolution.name for convolution in needed_convolutions(layers, network)]
    torchvision = {name: f"features.{each.torchvision_index}" for name, each in network.table.items()}
    normalized = {name: str(each.normalized_index) for name, each in network.table.items()}
    try:
        with safe_open(path, framework="pt") as file:
            keys = set(file.keys())
            others = {key.rpartition(".")[0] for key in keys} - set(torchvision.values())
            if "features.0.weight" in keys and not any(key.startswith("features.") for key in others):
                kernels = _read_kernels(network, path, keys, file.get_tensor, names, torchvision)
                kernels["1_1"] = _fold_bgr_mean(kernels["1_1"])
            elif (
                network is VGG19
                and "0.weight" in keys
                and file.get_slice("0.weight").get_shape() == [3, 3, 1, 1]
            ):
                kernels = _read_kernels(network, path, keys, file.get_tensor, names, normalized)
                preprocessing = (file.get_tensor("0.weight").float(), file.get_tensor("0.bias").float())
                kernels["1_1"] = _fold_preprocessing(kernels["1_1"], *preprocessing)
            else:
                raise WeightsError(
                    f"{path}: not a {network.title}",
                    hint="it must have torchvision's names (features.0.weight, ...)"
                    + (" or those of the VGG-19 of WCT and AdaIN" if network is VGG19 else ""),
                )
    except FileNotFoundError as error:
        hint = f"name a safetensors file with {network.title}"
        raise WeightsError(f"{path}: no such file", hint=hint) from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors ({error})") from error
    return network(kernels, layers)


def _read_kernels(
    network: type[VGG],
    path: Path,
    keys: set[str],
    get_tensor: Callable[[str], Tensor],
    names: Sequence[str],
    file_keys: Mapping[str, str],
) -> dict[str, Kernel]:
    """Read kernels as float32, after checking that none is missing and that their shapes are right."""
    offered = [name for name, key in file_keys.items() if {f"{key}.weight", f"{key}.bias"} <= keys]
    if missing := [name for name in names if name not in offered]:
        hint = f"the file offers {', '.join(f'relu{name}' for name in offered) or 'no layer'}"
        raise WeightsError(f"{path}: no {', '.join(f'relu{name}' for name in missing)}", hint=hint)
    kernels: dict[str, Kernel] = {}
    for name in names:
        convolution, key = network.table[name], file_keys[name]
        weight, bias = get_tensor(f"{key}.weight").float(), get_tensor(f"{key}.bias").float()
        expected = (convolution.out_channels, convolution.in_channels, 3, 3)
        if weight.shape != expected or bias.shape != expected[:1]:
            raise WeightsError(
                f"{path}: {key}.weight is {tuple(weight.shape)} and its bias {tuple(bias.shape)}",
                hint=f"conv{name} of {network.title} is {expected} and {expected[:1]}",
            )
        kernels[name] = weight, bias
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


def _fetch_torchvision(names: Sequence[str]) -> dict[str, Kernel]:
    """Load convolutions of torchvision's VGG-19, whose input is RGB in 0..1, standardized per channel."""
    try:
        from torchvision.models import VGG19_Weights

        with redirect_stdout(sys.stderr):  # torch.hub writes there that it downloads
            state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=sys.stderr.isatty(), check_hash=True)
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"torchvision's VGG-19 cannot be downloaded ({reason})",
            hint="connect once to download it, or name a safetensors file with VGG-19",
        ) from error
    kernels: dict[str, Kernel] = {}
    for name in names:
        key = TORCHVISION_KEYS[name]
        kernels[name] = state[f"{key}.weight"], state[f"{key}.bias"]
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaling = torch.diag(1 / deviation)
    kernels["1_1"] = _fold_preprocessing(kernels["1_1"], scaling[:, :, None, None], -mean / deviation)
    return kernels

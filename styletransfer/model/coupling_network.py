"""An exactly invertible network for photographs: additive couplings at the full size of the picture.

Features are two halves (a, b). A coupling adds a function of one half to the other, (a, b) <- (b, a + F(b)),
which is undone by subtracting the same function. So the network loses nothing whatever F has learned, and
where the statistics of the features do not change, neither does the picture. Nothing is decimated, because a
map from space to depth prints dots and blocks into skies; F alone may look at a pooled copy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import WeightsError
from ..linalg import Statistics, compute_statistics
from ..linalg.device_placement import limit_convolution_threads
from ..transfer.monge_map import bounded_monge_map

# Scale of the last convolution of every coupling at first, so that training begins near a transfer of colors.
# Random features would be amplified noise.
INITIAL_SCALE = 0.3
MIDDLE_GRAY = 0.5


@dataclass(frozen=True)
class CouplingArchitecture:
    """Channels and couplings of the network.

    Attributes:
        channels: Channels of the features, an even number of at least 6.
        hidden: Hidden channels of every coupling.
        dilations: Dilation of the two 3x3 convolutions of every coupling.
        pools: Size of the blocks that every coupling averages before it convolves; 1 averages none.

    Raises:
        WeightsError: The numbers do not describe a network.
    """

    channels: int = 16
    hidden: tuple[int, ...] = (16, 16, 24, 16, 16, 24, 16, 16)
    dilations: tuple[int, ...] = (1, 2, 1, 4, 4, 1, 2, 1)
    pools: tuple[int, ...] = (1, 1, 8, 1, 1, 8, 1, 1)

    def __post_init__(self) -> None:
        numbers = (*self.hidden, *self.dilations, *self.pools)
        lengths = {len(self.hidden), len(self.dilations), len(self.pools)}
        if self.channels < 6 or self.channels % 2 or len(lengths) != 1 or min(numbers, default=0) < 1:
            raise WeightsError(f"{self} does not describe a network")

    @property
    def stride(self) -> int:
        """Pixels by which a picture can be moved without a change of the pooled blocks."""
        return max(self.pools)

    @property
    def reach(self) -> int:
        """Pixels of the picture around a feature that it depends on, and the other way round.

        A pooled coupling sees at most its own block, two more of its grid on either side, and one for the
        upsampling.
        """
        seen = zip(self.dilations, self.pools, strict=True)
        reach = sum(2 * dilation if pool == 1 else (2 * dilation + 2) * pool for dilation, pool in seen)
        return -(-reach // self.stride) * self.stride

    def to_json(self) -> str:
        """Return the architecture as it is written in the header of a weights file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CouplingArchitecture:
        """Read what `to_json` wrote.

        Raises:
            WeightsError: The text does not describe an architecture of this program.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if values.keys() != {field.name for field in fields(cls)}:
                raise ValueError("fields are missing or unknown")
            lists = {name: tuple(map(int, value)) for name, value in values.items() if name != "channels"}
            return cls(channels=int(values["channels"]), **lists)
        except (AttributeError, TypeError, ValueError) as error:
            raise WeightsError(f"unknown architecture {text!r}", hint="update styletransfer") from error


class Coupling(nn.Module):
    """The function that a coupling adds: two 3x3 convolutions with a 1x1 convolution between them.

    Args:
        channels: Channels of one half of the features.
        hidden: Channels between the convolutions.
        dilation: Dilation of the 3x3 convolutions.
        pool: Size of the blocks that are averaged first; the result is upsampled again. Blocks of 4, 8, ...
            pixels lie on two overlapping grids along each axis, and the results of all grids are averaged,
            so that they depend less on where the blocks happen to lie.
    """

    def __init__(self, channels: int, hidden: int, dilation: int, pool: int) -> None:
        super().__init__()
        self.pool, self.grids = pool, 1 if pool % 4 else 2
        # Neighbors on the same grid are that many blocks apart.
        self.dilation = dilation * self.grids
        self.first = nn.Conv2d(channels, hidden, 3, dilation=self.dilation)
        self.middle = nn.Conv2d(hidden, hidden, 1)
        self.last = nn.Conv2d(hidden, channels, 3, dilation=self.dilation)
        for convolution in (self.first, self.middle, self.last):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
        with torch.no_grad():
            self.last.weight.mul_(INITIAL_SCALE)

    def forward(self, half: Tensor) -> Tensor:
        """Return what is added to the other half; both are [B, C, H, W]."""
        maps, step = half, self.pool // self.grids
        if self.pool > 1:
            border = self.pool // 2 if self.grids == 2 else 0
            maps = F.avg_pool2d(maps, self.pool, step, border, ceil_mode=True, count_include_pad=False)
        # One border serves both convolutions: copying it takes more time than the convolutions do.
        maps = F.pad(maps, (2 * self.dilation + self.grids - 1,) * 4, mode="replicate")
        with limit_convolution_threads(maps):
            maps = self.middle(self.first(maps).relu_()).relu_()
            maps = self.last(maps)
        if self.pool > 1:
            height, width = half.shape[-2:]
            if self.grids == 2:
                # Upsampling each grid by itself and averaging is the same as this and upsampling all at once.
                maps = F.avg_pool2d(F.avg_pool2d(maps, 2, 1), 2, 1)
            # The first block of two grids is centered on the picture's corner.
            start = step // 2 if self.grids == 2 else 0
            maps = F.interpolate(maps, scale_factor=step, mode="bilinear")
            maps = maps[..., start : start + height, start : start + width]
        return maps.to(half.dtype)


class CouplingNetwork(nn.Module):
    """Encode pictures into features by couplings, and decode them by the inverse with the same weights.

    Source: Dinh et al. 2015 (arXiv 1410.8516), additive couplings; Wen et al. 2023 (arXiv 2303.13761),
    photorealistic style transfer by an invertible network.
    Differs: the features keep the size of the picture; they are moved by optimal transport with bounded
    gains, and the network is trained through its eigendecompositions.
    """

    def __init__(self, architecture: CouplingArchitecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or CouplingArchitecture()
        half = self.architecture.channels // 2
        self.couplings = nn.ModuleList(
            Coupling(half, hidden, dilation, pool)
            for hidden, dilation, pool in zip(
                self.architecture.hidden, self.architecture.dilations, self.architecture.pools, strict=True
            )
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """Encode pictures [B, 3, H, W] in 0..1 into features [B, channels, H, W]."""
        half = self.architecture.channels // 2
        first = F.pad(pictures - MIDDLE_GRAY, (0, 0, 0, 0, 0, half - 3))
        second = torch.zeros_like(first)
        for coupling in self.couplings:
            first, second = second, first + coupling(second)
        return torch.cat([first, second], 1)

    def decode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Decode features [B, channels, H, W], which need not be those of a picture.

        Returns:
            The pictures [B, 3, H, W], near 0..1 but not clamped, and the channels [B, channels - 3, H, W]
            that a picture leaves empty.
        """
        first, second = features.chunk(2, 1)
        for coupling in reversed(self.couplings):
            first, second = second - coupling(first), first
        return first[:, :3] + MIDDLE_GRAY, torch.cat([first[:, 3:], second], 1)

    def transfer(self, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Give content [B, 3, H, W] the statistics of style [B, 3, H', W'], both in 0..1.

        Returns:
            What `decode` returns.
        """
        features = self.encode(content)
        matrix, offset = bounded_monge_map(measure_features(features), measure_features(self.encode(style)))
        moved = torch.baddbmm(offset.float().unsqueeze(-1), matrix.float(), features.flatten(2).float())
        return self.decode(moved.view(features.shape))

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Return the pictures of `transfer`."""
        return self.transfer(content, style)[0]


def measure_features(features: Tensor) -> Statistics:
    """Compute mean and covariance of features [B, C, H, W]."""
    return compute_statistics(features.flatten(2).float())

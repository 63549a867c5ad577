"""Plot distributions of singular values: the only module that imports matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import StyleTransferError

if TYPE_CHECKING:
    from torch import Tensor


def plot_singular_values(values: Mapping[str, Tensor], title: str, suffix: str) -> bytes:
    """Draw one curve per layer: singular values against their rank, as a share of all.

    Args:
        values: Descending, by the name of the layer.
        title: Above the plot.
        suffix: Of the file that it will be, ".png", ".svg" or ".pdf".

    Returns:
        The file's bytes.

    Raises:
        StyleTransferError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = 'pip install "styletransfer[plot]"'
        raise StyleTransferError("plots need matplotlib", hint=hint) from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, series in values.items():
        share = [(i + 0.5) / len(series) for i in range(len(series))]
        axes.plot(share, series.clamp_min(1e-12).tolist(), label=name, linewidth=1)
    axes.set(
        xlabel="share of all singular values", ylabel="singular value", title=title, yscale="log", xlim=(0, 1)
    )
    largest = max(float(series[0]) for series in values.values())
    axes.set_ylim(1e-3 * (largest or 1), 1.5 * (largest or 1))
    if len(values) <= 24:
        axes.legend(fontsize="x-small", ncols=2)
    data = io.BytesIO()
    figure.savefig(data, format=suffix.removeprefix("."), dpi=120)
    return data.getvalue()

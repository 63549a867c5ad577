"""Weighted sets of singular values, and the n values that stand for one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Measure:
    """Point masses on the line; a mass may be negative.

    Attributes:
        values: [N].
        masses: [N].
    """

    values: Tensor
    masses: Tensor

    @classmethod
    def uniform(cls, values: Tensor, total: float) -> Measure:
        """Spread a total mass evenly over values of any shape."""
        flat = values.flatten()
        return cls(flat, torch.full_like(flat, total / max(len(flat), 1)))

    def __add__(self, other: Measure) -> Measure:
        return Measure(torch.cat([self.values, other.values]), torch.cat([self.masses, other.masses]))

    def __mul__(self, factor: float) -> Measure:
        return Measure(self.values, self.masses * factor)

    def smooth(self, copies: int) -> Measure:
        """Replace each of a set of equal masses by several, spread evenly between its neighbours."""
        if len(self.values) < 2:
            return self
        ordered = self.values.sort().values
        place = ((torch.arange(len(ordered) * copies).to(ordered) + 0.5) / copies - 0.5).clamp(
            0, len(ordered) - 1
        )
        left = place.floor().long().clamp(max=len(ordered) - 2)
        values = torch.lerp(ordered[left], ordered[left + 1], place - left)
        return Measure(values, self.masses.repeat_interleave(copies) / copies)

    def quantiles(self, count: int) -> Tensor:
        """Return the values at the centres of `count` equal shares of the mass, descending: [count].

        Where negative masses make the distribution function fall, the mean of its running maximum and
        its minimum to come takes its place.
        """
        order = self.values.argsort()
        values, cumulated = self.values[order], self.masses[order].cumsum(0)
        before = cumulated.cummax(0).values
        after = cumulated.flip(0).cummin(0).values.flip(0)
        shares = (torch.arange(count).to(values) + 0.5) * (cumulated[-1] / count)
        place = torch.searchsorted((before + after) / 2, shares).clamp(max=len(values) - 1)
        return values[place].flip(0)

"""Blends of styles whose weights change with time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..errors import OptionError
from .checks import check_range, check_style_weights

HINT = 'write seconds and one weight per style, such as "0:1,0 10:0,1"'


@dataclass(frozen=True)
class StyleSchedule:
    """Weights of styles that change with time, linearly from each time to the next.

    Before the first time and after the last one they stay as they are there.

    Attributes:
        times: Seconds since the start of the video, each later than the one before.
        weights: The weights of all styles at each time, as for `StylizeOptions.style_weights`.

    Raises:
        OptionError: The times do not rise, there are other numbers of weights at some time, or some weights
            are negative or all zero.
    """

    times: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not self.times or len(self.times) != len(self.weights):
            raise OptionError(f"{len(self.weights)} weights for {len(self.times)} times", hint=HINT)
        for time in self.times:
            check_range("a time of style_weights", time, 0, 1e9)
        for first, second in pairwise(self.times):
            if first >= second:
                raise OptionError(f"style_weights has {second:g} s after {first:g} s", hint="let times rise")
        for weights in self.weights:
            check_style_weights(weights)
        if len({len(weights) for weights in self.weights}) != 1:
            raise OptionError("style_weights has more weights at some times than at others", hint=HINT)

    @classmethod
    def parse(cls, text: str) -> StyleSchedule:
        """Read times and weights as they are typed: "0:1,0 10:0,1".

        Raises:
            OptionError: The text has another form.
        """
        times, weights = [], []
        for part in text.split():
            time, separator, numbers = part.partition(":")
            if not separator:
                raise OptionError(f"style_weights is {text!r}", hint=HINT)
            try:
                times.append(float(time))
                weights.append(tuple(float(number) for number in numbers.split(",")))
            except ValueError as error:
                raise OptionError(f"style_weights is {text!r}", hint=HINT) from error
        return cls(tuple(times), tuple(weights))

    @classmethod
    def is_schedule(cls, text: str) -> bool:
        """Tell whether a text has times, so that it is no plain list of weights."""
        return ":" in text

    def weights_at(self, time: float) -> tuple[float, ...]:
        """Return the weights of all styles at a time in seconds."""
        if time <= self.times[0]:
            return self.weights[0]
        for (start, stop), (first, last) in zip(pairwise(self.times), pairwise(self.weights), strict=True):
            if time < stop:
                share = (time - start) / (stop - start)
                return tuple(a + share * (b - a) for a, b in zip(first, last, strict=True))
        return self.weights[-1]

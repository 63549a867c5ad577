"""Weights of styles that change with time."""

from __future__ import annotations

import pytest

from styletransfer.errors import OptionError
from styletransfer.options import StyleSchedule


def test_weights_change_linearly_and_stay_outside() -> None:
    schedule = StyleSchedule.parse("1:1,0 3:0,2 4:1,1")
    assert schedule.weights_at(0) == (1, 0)
    assert schedule.weights_at(1) == (1, 0)
    assert schedule.weights_at(2) == (0.5, 1)
    assert schedule.weights_at(3) == (0, 2)
    assert schedule.weights_at(3.5) == (0.5, 1.5)
    assert schedule.weights_at(99) == (1, 1)


def test_a_list_without_times_is_no_schedule() -> None:
    assert StyleSchedule.is_schedule("0:1,0 10:0,1")
    assert not StyleSchedule.is_schedule("2,1")


@pytest.mark.parametrize(
    "text",
    ["", "1,0", "0:1,0 5", "0:1,a", "x:1", "0:1,0 2:1", "2:1,0 1:0,1", "1:1 1:2", "0:0,0", "0:-1,2", "-1:1"],
)
def test_bad_schedules_are_refused(text: str) -> None:
    with pytest.raises(OptionError):
        StyleSchedule.parse(text)

from __future__ import annotations

from dataclasses import replace

import pytest

from styletransfer.evaluation.scores import Scores, average_scores, format_scores

LOW = Scores(style_gram=0.04, style_pyr=0.1, content_in=1, ssim=0.2, swd_rgb=0.02, clip=0.1)
HIGH = Scores(style_gram=0.08, style_pyr=0.3, content_in=2, ssim=0.4, swd_rgb=0.06, clip=0.2)


def test_means() -> None:
    mean = average_scores([LOW, HIGH])
    assert (mean.style_gram, mean.content_in, mean.ssim) == pytest.approx((0.06, 1.5, 0.3))
    assert mean.reconstruction is mean.identity is mean.warp is None


def test_warp_is_a_root_mean_square_throughout() -> None:
    models = [replace(LOW, reconstruction=20.0, warp=0.03), replace(HIGH, reconstruction=30.0, warp=0.04)]
    mean = average_scores(models)
    assert mean.reconstruction == 25
    assert mean.warp == pytest.approx((0.0009 / 2 + 0.0016 / 2) ** 0.5)
    assert average_scores([*models, LOW]).warp is None


def test_table_shows_what_there_is() -> None:
    table = format_scores({"ours": replace(LOW, identity=26.04), "a peer": HIGH})
    assert table.splitlines() == [
        "| method | style_gram | style_pyr | content_in | ssim  | swd_rgb | clip  | identity |",
        "| ------ | ---------- | --------- | ---------- | ----- | ------- | ----- | -------- |",
        "| ours   | 0.040      | 0.100     | 1.000      | 0.200 | 0.020   | 0.100 | 26.0     |",
        "| a peer | 0.080      | 0.300     | 2.000      | 0.400 | 0.060   | 0.200 | -        |",
    ]

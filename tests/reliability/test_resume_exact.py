"""A trial that was killed and continued ends with the same bits as one that was not."""

from pathlib import Path
from typing import Any

import pytest

from tests.reliability.trials import attempt, end_after_step, frozen, outcome, write_experiment

COMBINATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "workers": {"execution__workers": 2},
    "accumulate-average": {"train__accumulate": 4, "train__ema_decay": 0.9},
    "workers-accumulate-average-bf16": {
        "execution__workers": 2, "train__accumulate": 4, "train__ema_decay": 0.9, "train__precision": "bf16-mixed",
    },
    "bf16": {"train__precision": "bf16-mixed"},
    "frozen-encoder": {"train__freeze_encoder_epochs": 2},
    "max-steps": {"train__max_steps": 31, "train__validate_every": 2},
    "cache-best": {"execution__cache_images": True, "evaluation__checkpoint": "best", "train__gradient_clip": 0.5},
}  # fmt: skip
# Optimizer steps after which the process is killed: in the middle of an epoch, and at or after the end of another.
KILLS = {1: (5, 24), 4: (2, 6)}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_killed_and_continued_trial_is_equal_to_an_uninterrupted_one(name: str, tmp_path: Path) -> None:
    changes = COMBINATIONS[name]
    whole = frozen(write_experiment(tmp_path / "whole", **changes))
    assert attempt(whole) == 0, (whole / "log.txt").read_text()
    killed = frozen(write_experiment(tmp_path / "killed", **changes))
    for step in KILLS[changes.get("train__accumulate", 1)]:
        assert end_after_step(killed, step) == -9
        assert not (killed / "result.json").exists()
    assert attempt(killed) == 0, (killed / "log.txt").read_text()
    expected = outcome(whole)
    assert [event["epoch"] for event in expected["events"]] == [0, 1, 2]
    assert outcome(killed) == expected

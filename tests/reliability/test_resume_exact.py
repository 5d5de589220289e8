"""A trial that was killed or preempted, at whatever moments, ends with the same bits as one that was not."""

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.trials import attempt, frozen, outcome, write_experiment
from tests.reliability.watched_trial import learned

# The first five hold every pair of workers 0 and 2, accumulation 1 and 4, average or none, fp32 and bf16.
AVERAGE, BF16 = {"train__ema_decay": 0.9}, {"train__precision": "bf16-mixed"}
FOUR, WORKERS = {"train__accumulate": 4}, {"execution__workers": 2}
COMBINATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulate-average-bf16": FOUR | AVERAGE | BF16,
    "workers-average-bf16": WORKERS | AVERAGE | BF16,
    "workers-accumulate-bf16": WORKERS | FOUR | BF16,
    "workers-accumulate-average": WORKERS | FOUR | AVERAGE,
    "max-steps-validate-every-2-on-device": {
        "train__max_steps": 31, "train__validate_every": 2, "execution__data_on_device": True,
    },
    "frozen-encoder-clip-cache-best": {
        "train__freeze_encoder_epochs": 2, "train__gradient_clip": 0.5, "execution__cache_images": True,
        "evaluation__checkpoint": "best",
    },
}  # fmt: skip
WATCHED = "tests.reliability.watched_trial"
MOST_DELAY = 0.15  # s: a few steps, with the saves after them


def drawn_ends(chance: random.Random, steps: int, left_out: int) -> list[tuple[int, signal.Signals, float]]:
    """Two or three ends of a process, one of them a kill: after which step, by what, and how long after its beginning.

    Drawn anew each time, unless SEGSUITE_TEST_SEED is set. The last steps are left out: the process could be through
    before its end comes.
    """
    at = sorted(chance.sample(range(steps - left_out), chance.choice((2, 3))))
    by = [signal.SIGKILL, *(chance.choice((signal.SIGKILL, signal.SIGUSR1, signal.SIGTERM)) for _ in at[1:])]
    chance.shuffle(by)
    return [(step, number, round(chance.uniform(0, MOST_DELAY), 3)) for step, number in zip(at, by, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_killed_and_continued_trial_is_equal_to_an_uninterrupted_one(
    name: str, tmp_path: Path, chance: random.Random
) -> None:
    changes = COMBINATIONS[name]
    whole, ended = (
        frozen(write_experiment(tmp_path / name, wandb__mode="disabled", **changes)) for name in ("whole", "ended")
    )
    assert attempt(whole, WATCHED) == 0, (whole / "log.txt").read_text()
    expected = outcome(whole)
    ends = drawn_ends(chance, expected["step"], left_out=2 if "accumulate" in name else 5)
    told = f"the ends were {ends}: {ended / 'log.txt'}"
    for step, number, delay in ends:
        code = attempt(ended, WATCHED, str(step), str(int(number)), str(delay))
        assert code == (-9 if number == signal.SIGKILL else 75), told
        assert not (ended / "result.json").exists(), told
    assert attempt(ended, WATCHED) == 0, told
    assert outcome(ended) == expected, told
    assert learned(ended) == learned(whole), told

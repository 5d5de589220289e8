"""segsuite.trial: what a trial leaves in result.json."""

import time
from pathlib import Path

import pytest

from segsuite.io.store import read_json
from segsuite.train.distributed import ALONE
from segsuite.trial import prepare
from segsuite.trial.frozen import read
from tests.reliability.trials import attempt, frozen, write_experiment


@pytest.mark.slow
def test_what_was_matched_is_recorded_beside_the_cost(tmp_path: Path) -> None:
    model = {"name": "fcn", "variant": "plain", "encoder": "mobilenetv3_small_100", "upsampler": "transposed_k4"}
    path = write_experiment(
        tmp_path, model={**model, "match": "parameters"}, tracker="none", train__epochs=1, train__max_steps=2
    )
    folder = frozen(path)
    assert attempt(folder) == 0, (folder / "log.txt").read_text()
    result = read_json(folder / "result.json")
    assert result is not None
    matched = result["cost"]["matched"]
    assert matched["achieved"] == result["cost"]["parameters"]
    assert matched["match_to"] == "bilinear_conv"
    assert abs(matched["relative_difference"]) < 0.02


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_set_changes_no_duration(hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = prepare(read(frozen(write_experiment(tmp_path))), "cpu", ALONE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600 * hours)
    assert 0 <= machine.seconds() < 600

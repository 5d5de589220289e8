"""segsuite.trial: what a trial of a matched network leaves in result.json."""

from pathlib import Path

import pytest

from segsuite.io.store import read_json
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

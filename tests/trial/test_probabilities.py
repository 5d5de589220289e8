"""segsuite.trial: what a trial leaves behind of its probabilities can be made again from its files, without torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsuite.io.numbers import finite
from segsuite.io.store import read_json
from segsuite.metrics.calibration import calibration_summary
from segsuite.metrics.curves import ranking_summary
from segsuite.metrics.groups import group_summary
from segsuite.metrics.histograms import Histograms
from tests.reliability.trials import attempt, frozen, write_experiment


def arrays_of(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.mark.slow
def test_results_are_those_of_the_files(tmp_path: Path) -> None:
    folder = frozen(write_experiment(tmp_path, tracker="none", train__epochs=1, train__max_steps=2))
    assert attempt(folder) == 0, (folder / "log.txt").read_text()
    result = read_json(folder / "result.json")
    assert result is not None
    kept, counts = arrays_of(folder / "histograms.npz"), arrays_of(folder / "counts.npz")
    classes = [str(name) for name in kept["classes"]]
    histograms = Histograms.from_arrays(kept)
    assert result["ranking"] == finite(ranking_summary(histograms, classes))
    assert result["calibration"] == finite(calibration_summary(histograms, classes))
    shares = np.array(list(result["groups"]["training_share"].values()))
    groups = finite(group_summary(counts["counts"], counts["object_counts"], np.round(1e6 * shares).tolist(), classes))
    assert {name: result["groups"][name] for name in groups if name != "training_share"} == {
        name: value for name, value in groups.items() if name != "training_share"
    }
    assert list(counts["object_sizes"]) == ["small", "medium", "large"]
    assert (folder / "histograms.npz").stat().st_size < 200_000

"""A whole trial: what its result says of the loss."""

from pathlib import Path

import pytest

from segsuite.datasets import build_dataset
from segsuite.losses.class_weights import class_weights
from segsuite.train.callbacks import StopRequest
from segsuite.trial import run_trial
from tests.reliability.trials import frozen, write_experiment


@pytest.mark.slow
def test_result_holds_the_weights_and_the_gradient_norms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = {"size": [32, 48], "train_images": 4, "val_images": 2}
    path = write_experiment(
        tmp_path,
        data={"name": "shapes", **data},
        loss={"name": "sum", "terms": [{"class_weights": "inverse_sqrt"}, {"name": "dice", "weight": 0.5}]},
        train={"epochs": 1, "batch_size": 2, "precision": "fp32", "match_gradient_norm": True},
        tracker="none",
    )
    result = run_trial(frozen(path), lambda event: None, StopRequest())

    dataset = build_dataset("shapes", "train", **data)
    labels = [dataset.read(index)[1] for index in range(4)]
    counts = [sum(int((label == c).sum()) for label in labels) for c in range(8)]
    weights = dict(zip(dataset.classes, class_weights(counts, "inverse_sqrt"), strict=True))
    assert result["loss_weights"] == {"terms.0.class_weights": pytest.approx(weights)}
    assert result["loss_factor"] == pytest.approx(result["loss_reference_norm"] / result["loss_gradient_norm"])
    assert result["loss_factor"] != 1

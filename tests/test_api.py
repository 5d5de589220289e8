"""`import segsuite`: lazy, documented, and equal to what the command line does."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segsuite
from segsuite.datasets.image_io import read_mask
from segsuite.errors import ConfigError
from segsuite.report.build import build_report
from tests.reliability.trials import write_experiment


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms, three seeds, one epoch."""
    path = write_experiment(
        tmp_path_factory.mktemp("compared"),
        compare={"model.upsampler": ["bilinear_conv", "nearest_conv"]},
        baseline={"model.upsampler": "bilinear_conv"},
        seeds=[0, 1, 2],
        train__epochs=1,
        wandb__mode="disabled",
    )
    assert segsuite.run(path, workers=1) == 0
    return path


def test_importing_and_listing_bring_no_torch() -> None:
    code = "import segsuite, sys; segsuite.load_trial; dir(segsuite); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_name_is_there_and_documented() -> None:
    for name in segsuite.__all__:
        found = getattr(segsuite, name)
        assert name == "__version__" or inspect.getdoc(found), name
        assert name in dir(segsuite)
    with pytest.raises(AttributeError, match="no_such_name"):
        segsuite.no_such_name  # noqa: B018


def test_a_loaded_trial_predicts_what_it_was_scored_with(compared: Path, tmp_path: Path) -> None:
    experiment = segsuite.load_experiment(compared)
    trial = experiment.trials()[0]
    from segsuite.trial import frozen
    from segsuite.trial.networks import scored_dataset

    dataset = scored_dataset(frozen.read(trial.folder).settings)
    loaded = segsuite.load_trial(trial.folder)
    assert (loaded.id, loaded.arm, loaded.seed, loaded.classes) == (trial.id, trial.arm, trial.seed, dataset.classes)
    image = dataset.read(0)[0]
    labels = loaded.predict(image)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, read_mask(trial.folder / "samples" / f"{dataset.sample_name(0)}.png"))
    Image.fromarray(image).save(tmp_path / "photo.png")
    np.testing.assert_array_equal(loaded.predict(tmp_path / "photo.png"), labels)
    probabilities = loaded.predict(image, probabilities=True)
    assert probabilities.shape == (len(dataset.classes), *labels.shape)
    np.testing.assert_array_equal(probabilities.argmax(0), labels)
    wrong: list[Any] = [image[:, :, 0], image[:0], image.astype(np.int32), image.astype(np.float32)]
    for pixels in [*wrong, np.full((4, 4, 3), np.nan)]:
        with pytest.raises(ConfigError):
            loaded.predict(pixels)
    with pytest.raises(ConfigError, match="whole number"):
        loaded.predict(image, window=64.5)  # type: ignore[arg-type]
    image.flags.writeable = False
    np.testing.assert_array_equal(loaded.predict(image), labels)
    with pytest.raises(ConfigError, match="load_experiment"):
        segsuite.load_trial(compared)
    with pytest.raises(ConfigError, match="gpu"):
        segsuite.load_trial(trial.folder, device="gpu")


def test_the_comparison_is_the_report_s(compared: Path) -> None:
    from segsuite.experiment import load

    (of_report,) = build_report(load(compared), with_images=False).material.answers.comparisons["miou"]
    for baseline in (None, {"model.upsampler": "bilinear_conv"}, of_report.baseline):
        (found,) = segsuite.compare(compared, baseline)
        assert found == of_report
    (turned,) = segsuite.compare(segsuite.load_experiment(compared), of_report.arm)
    assert turned.difference is not None
    assert of_report.difference is not None
    assert turned.difference == pytest.approx(-of_report.difference)
    wrong: list[Any] = ["bilinear_cnov", {"model.upsampler": "nothing"}, {"model.upsmapler": "nearest_conv"}, {}, 3]
    for baseline in wrong:
        with pytest.raises(ConfigError):
            segsuite.compare(compared, baseline)


def test_the_best_is_of_the_best_arm_and_no_lucky_seed(compared: Path) -> None:
    experiment = segsuite.load_experiment(compared)
    scores: dict[str, list[float]] = {}
    for row in experiment.rows():
        assert row["state"] == "finished"
        scores.setdefault(row["arm"], []).append(row["miou"])
    best = experiment.best()
    means = {arm: float(np.mean(values)) for arm, values in scores.items()}
    assert means[best.arm] == max(means.values())
    with pytest.raises(ConfigError, match="unknown score 'accuracy'"):
        experiment.best("accuracy")
    distance = abs(best.result["scores"]["miou"] - means[best.arm])
    assert distance == min(abs(value - means[best.arm]) for value in scores[best.arm])


def test_rows_and_the_table(compared: Path) -> None:
    rows = segsuite.load_experiment(compared).rows()
    assert [row["model.upsampler"] for row in rows[:2]] == ["bilinear_conv", "nearest_conv"]
    assert {"id", "arm", "seed", "state", "miou", "iou/ring"} <= set(rows[0])
    try:
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        with pytest.raises(ConfigError, match="pandas"):
            segsuite.load_experiment(compared).results()
    else:
        assert isinstance(segsuite.load_experiment(compared).results(), pandas.DataFrame)


def test_parts_are_built_as_a_yaml_builds_them() -> None:
    import torch

    model = segsuite.build_model("unet", num_classes=3, encoder="mobilenetv3_small_100", upsampler="nearest_conv")
    logits = model(torch.zeros(1, 3, 40, 50, dtype=torch.uint8))
    assert logits.shape == (1, 3, 40, 50)
    loss = segsuite.build_loss("dice")(logits, torch.zeros(1, 40, 50, dtype=torch.int64))
    assert loss.shape == ()
    up = segsuite.build_upsampler("transposed_k4", 8, 4, init="bilinear")
    assert up(torch.zeros(1, 8, 5, 6)).shape == (1, 4, 10, 12)
    assert issubclass(segsuite.SegmentationModule, torch.nn.Module)


def test_overrides_are_settings(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    found = segsuite.load_experiment(path, {"train.epochs": 7, "seeds": [3, 4]})
    assert found.seeds == (3, 4)
    with pytest.raises(ConfigError, match="mapping"):
        segsuite.load_experiment(path, ["train.epochs=7"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="epohcs"):
        segsuite.load_experiment(path, {"train.epohcs": 7})
    with pytest.raises(ConfigError, match="no trial has finished"):
        found.best()

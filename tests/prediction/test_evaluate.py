"""`segsuite evaluate`: the numbers of a retraining that scores the other split, without training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsuite.cli import main
from segsuite.experiment import Trial
from tests.reliability.trials import trials_of, write_experiment

OF_THE_MACHINE = ("cost", "finished", "id", "experiment", "arm", "evaluation", "loss_weights", "loss")


def evaluate(*words: str | Path) -> int:
    return main(["evaluate", *map(str, words)])


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def numbers(folder: Path) -> dict[str, Any]:
    return {
        key: value for key, value in result(folder).items() if key not in OF_THE_MACHINE and not key.startswith("loss_")
    }


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as found:
        return {name: found[name].tolist() for name in found.files}


@pytest.mark.slow
def test_the_held_out_numbers_are_those_of_a_retraining_to_the_last_digit(
    experiment: Path, trials: tuple[Trial, ...], tmp_path: Path
) -> None:
    assert evaluate(experiment, "--split", "test") == 0
    again = write_experiment(tmp_path, seeds=[0, 1], train__epochs=1, wandb__mode="disabled", evaluation__split="test")
    assert main(["run", str(again)]) == 0
    for trial, retrained in zip(trials, trials_of(again), strict=True):
        assert trial.id != retrained.id
        found = trial.folder / "evaluations" / "test"
        assert numbers(found) == numbers(retrained.folder)
        for name in ("counts.npz", "histograms.npz"):
            assert arrays(found / name) == arrays(retrained.folder / name)
        for sample in (retrained.folder / "samples").iterdir():
            assert (found / "samples" / sample.name).read_bytes() == sample.read_bytes()


def test_the_same_split_gives_the_trial_s_own_numbers_and_leaves_them(
    experiment: Path, trials: tuple[Trial, ...]
) -> None:
    before = {path: path.read_bytes() for path in trials[0].folder.iterdir() if path.is_file()}
    assert evaluate(experiment, "--split", "val", "--name", "own") == 0
    found = trials[0].folder / "evaluations" / "own"
    assert numbers(found) == numbers(trials[0].folder)
    assert arrays(found / "counts.npz") == arrays(trials[0].folder / "counts.npz")
    assert before == {path: path.read_bytes() for path in trials[0].folder.iterdir() if path.is_file()}


def test_each_scoring_of_a_split_is_recorded_and_none_is_made_twice_without_a_wish(
    experiment: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    words = (experiment, trials[1].id, "--split", "test", "--name", "counted", "--json")
    for options, times in (((), 1), ((), 1), (("--again",), 2)):
        assert evaluate(*words, *options) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert found["times_scored"] == times
    lines = (trials[1].folder / "evaluations" / "counted" / "scorings.jsonl").read_text().splitlines()
    assert [json.loads(line)["split"] for line in lines] == ["test", "test"]
    assert not (trials[0].folder / "evaluations" / "counted").exists()


def test_views_are_averaged_and_named(experiment: Path, trials: tuple[Trial, ...]) -> None:
    assert evaluate(experiment, trials[0].id, "--split", "val", "--tta", "flip") == 0
    flipped = result(trials[0].folder / "evaluations" / "val-flip")
    assert flipped["evaluation"]["views"] == [{"scale": 1.0, "mirrored": False}, {"scale": 1.0, "mirrored": True}]
    assert flipped["scores"] != result(trials[0].folder)["scores"]
    # A predictor that averages the same views labels the same pixels.
    assert main([
        "predict", str(trials[0].folder), "--tta", "flip", "--out", str(trials[0].folder / "flipped"),
        *(str(path) for path in _pictures(trials[0])),
    ]) == 0  # fmt: skip
    for sample in (trials[0].folder / "evaluations" / "val-flip" / "samples").iterdir():
        assert _label(sample) == _label(trials[0].folder / "flipped" / "labels" / sample.name)


def _pictures(trial: Trial) -> list[Path]:
    from PIL import Image

    from segsuite.trial.networks import scored_dataset

    dataset, paths = scored_dataset(trial.settings), []
    folder = trial.folder / "pictures"
    folder.mkdir()
    for index in range(len(dataset)):
        paths.append(folder / f"{dataset.sample_name(index)}.png")
        Image.fromarray(dataset.read(index)[0]).save(paths[-1])
    return paths


def _label(path: Path) -> list[Any]:
    from segsuite.datasets.image_io import read_mask

    labels: list[Any] = read_mask(path).tolist()
    return labels


def test_a_name_stands_for_one_evaluation(
    experiment: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(experiment, trials[0].id, "--split", "val", "--name", "mine") == 0
    kept = result(trials[0].folder / "evaluations" / "mine")
    for other in (("--split", "test"), ("--split", "val", "--tta", "flip"), ("--split", "test", "--again")):
        assert evaluate(experiment, trials[0].id, *other, "--name", "mine") == 2
        assert "give this one another --name" in capsys.readouterr().err
    assert result(trials[0].folder / "evaluations" / "mine") == kept


def test_one_trial_that_cannot_be_scored_stops_no_other(
    experiment: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = trials[0].folder / "checkpoints"
    aside = hidden.rename(trials[0].folder / "aside")
    try:
        assert evaluate(experiment, "--split", "val", "--name", "others") == 1
    finally:
        aside.rename(hidden)
    told = capsys.readouterr()
    assert trials[0].id in told.err
    assert "no checkpoint any more" in told.err
    assert trials[1].id in told.out
    assert (trials[1].folder / "evaluations" / "others" / "result.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "../own"), "not a plain name"),
        (("--output-stride", "8"), "cannot be changed"),
        (("--tta", "rotate"), "no view 'rotate'"),
    ],
)
def test_wrong_use_is_told(
    words: tuple[str, ...], said: str, experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(experiment, *words) == 2
    assert said in capsys.readouterr().err


def test_weights_that_are_not_there_any_more_are_named(
    tmp_path: Path, experiment: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = write_experiment(tmp_path, seeds=[0], train__epochs=1, wandb__mode="disabled", execution__keep="weights")
    for trial, other in zip(trials[:1], trials_of(copy), strict=True):
        shutil.copytree(trial.folder, other.folder)
        shutil.rmtree(other.folder / "checkpoints")
    assert evaluate(copy) == 2
    assert "no checkpoint any more" in capsys.readouterr().err

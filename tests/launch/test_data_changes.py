"""Data that change while an experiment runs: `plan`, `run` and `status` say it, and no mean is taken over both."""

import json
from pathlib import Path
from typing import Any

import pytest

from segsuite.cli import main
from segsuite.experiment import Experiment, Trial, load
from segsuite.io import atomic
from segsuite.launch.data_changes import changes, seen_data
from segsuite.trial.data import build_data
from tests.datasets.trees import ids_of, image_of, save

TEXT = """\
name: e
data: {name: folder, root: d, classes: [a, b], images: "{split}/i/*.png", masks: "{split}/m/*.png"}
model: {name: unet}
train: {batch_size: 2, epochs: 1}
compare: {model.upsampler: [nearest_conv, bilinear_conv]}
seeds: [0, 1]
tracker: none
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Four trials on two images a split; the first two have finished."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split in ("train", "val", "test"):
        for number in range(2):
            save(Path("d") / split / "i" / f"{number}.png", image_of(number))
            save(Path("d") / split / "m" / f"{number}.png", ids_of(0, 1))
    return finished(TEXT, 2)


def finished(text: str, count: int) -> Experiment:
    Path("e.yaml").write_text(text)
    found = load(Path("e.yaml"))
    for trial in found.trials[:count]:
        finish(trial)
    return found


def finish(trial: Trial) -> None:
    scores = {"miou": 0.5, "pixel_accuracy": 0.5}
    record = {
        "scores": scores,
        "class_scores": {"iou": {"a": 0.5, "b": 0.5}},
        "scored": {"split": "val", "images": 2, "checkpoint": "last"},
        "cost": {"parameters": 1, "train_seconds": 1.0},
        "epochs": 1,
        "finished": 1.0,
    }
    record["scored"]["dataset_fingerprint"] = build_data(trial.settings).fingerprint  # type: ignore[index]
    atomic.write_json(trial.folder / "result.json", record)


def edit(split: str = "train") -> None:
    save(Path(f"d/{split}/m/1.png"), ids_of(1))


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(arguments)
    told = capsys.readouterr()
    return code, told.out, told.err


SAID = "the images or masks have changed: 2 of 2 trials that have begun or finished saw other data than there are now"


@pytest.mark.parametrize("split", ["train", "val"])
def test_plan_and_status_say_it(experiment: Experiment, split: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("plan", "status"):
        assert SAID not in called(capsys, command, "e.yaml")[1]
        assert json.loads(called(capsys, command, "e.yaml", "--json")[1])["notes"] == []
    edit(split)
    for command in ("plan", "status"):
        code, out, _ = called(capsys, command, "e.yaml")
        assert code == 0
        assert SAID in out
        assert "upsampler=nearest_conv, seed 0; upsampler=bilinear_conv, seed 0" in out
        assert str(Path("d").absolute()) in out
        assert f"rm -r {experiment.trials[0].folder} {experiment.trials[1].folder}" in out
        (note,) = json.loads(called(capsys, command, "e.yaml", "--json")[1])["notes"]
        assert SAID in note["what"]


def test_run_says_it_and_trains_nothing_that_could_not_be_compared(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    edit()
    code, _, error = called(capsys, "run", "e.yaml")
    assert code == 2
    assert SAID in error
    assert "--set name=e-2" in error
    assert not experiment.trials[2].folder.exists()


def test_a_trial_that_is_run_again_is_compared_with_all(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    edit()
    code, _, error = called(capsys, "retry", "e.yaml", experiment.trials[3].id)
    assert code == 2
    assert SAID in error


def test_run_says_it_when_all_have_finished(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    for trial in experiment.trials[2:]:
        finish(trial)
    edit()
    code, _, error = called(capsys, "run", "e.yaml")
    assert code == 0
    assert "4 of 4 trials" in error


@pytest.mark.usefixtures("experiment")
def test_a_split_that_is_not_used_may_change(capsys: pytest.CaptureFixture[str]) -> None:
    edit("test")
    assert "changed" not in called(capsys, "plan", "e.yaml")[1]


def test_the_watched_split_counts_when_another_is_scored(experiment: Experiment) -> None:
    again = finished(TEXT.replace("name: e\n", "name: f\nevaluation: {split: test}\n"), 2)
    edit("val")
    states = {trial.id: "finished" if number < 2 else "new" for number, trial in enumerate(again.trials)}
    (error,) = changes(again, seen_data(again.trials, states))
    assert "2 of 2 trials" in error.what


def test_a_copy_of_the_data_elsewhere_is_the_same_data(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("elsewhere").mkdir()
    Path("d").rename("elsewhere/d")
    assert "changed" not in called(capsys, "plan", "e.yaml", "--set", "data.root=elsewhere/d")[1]


def test_data_that_are_not_there_are_not_compared(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    Path("d").rename("away")
    assert "changed" not in called(capsys, "status", "e.yaml")[1]


def test_no_mean_is_taken_over_both(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    from segsuite.report.gather import gather
    from segsuite.report.tables import result_table

    finish(experiment.trials[2])
    edit()
    finish(experiment.trials[3])
    found = gather(experiment)
    assert [(trial.finished, trial.other_data) for trial in found.trials] == [(True, False)] * 3 + [(False, True)]
    assert found.scores("upsampler=bilinear_conv", "miou") == {0: 0.5}
    from rich.console import Console

    Console(width=200).print(result_table(experiment))
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "bilinear_conv" in line)
    assert "0.500^" in row
    assert "1 of 2" in row
    assert "^ saw other images or masks than the trials that it belongs to" in out


def test_of_two_groups_alike_the_later_one_is_kept(experiment: Experiment) -> None:
    from segsuite.report.same_data import of_other_data

    def result(fingerprint: str, ended: float) -> dict[str, Any]:
        return {"scored": {"dataset_fingerprint": fingerprint}, "finished": ended}

    settings = experiment.trials[0].settings
    trials = [("a", settings, result("x-y", 1.0)), ("b", settings, result("x-z", 2.0))]
    assert of_other_data(trials) == {"a"}
    assert of_other_data([*trials, ("c", settings, result("x-y", 0.5))]) == {"b"}


def test_arms_with_data_of_their_own_are_no_others(experiment: Experiment) -> None:
    from segsuite.report.same_data import of_other_data

    other = experiment.trials[0].settings.model_copy(
        update={"data": experiment.trials[0].settings.data.model_copy(update={"split_seed": 1})}
    )
    results = [{"scored": {"dataset_fingerprint": name}, "finished": 1.0} for name in ("x-y", "x-z")]
    assert of_other_data([("a", experiment.trials[0].settings, results[0]), ("b", other, results[1])]) == frozenset()


def test_the_page_says_which_trials_saw_others(experiment: Experiment) -> None:
    from segsuite.report.build import build_report

    for trial in experiment.trials[2:]:
        finish(trial)
    edit()
    finish(experiment.trials[0])
    page = " ".join(build_report(experiment, with_images=False).page().split())
    assert "The images or masks have changed between trials" in page
    assert "(other data)" in page


def test_results_elsewhere_are_told_when_there_are_none_here(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Path.cwd()
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    for command in ("plan", "status"):
        out = called(capsys, command, "../e.yaml", "--set", f"data.root={here / 'd'}")[1]
        assert f"no trial of this experiment is in {here}/sub/runs/e, but there are some in {here}/runs/e" in out
        assert f"call it in {here}, or set runs_root to an absolute path" in out
    for command in ("why", "clean", "report", "dashboard", "wandb-sync"):
        code, out, told = called(capsys, command, "../e.yaml", "--set", f"data.root={here / 'd'}")
        assert f"there are some in {here}/runs/e" in out + told
        assert code == (0 if command in ("why", "clean") else 2)
    assert list(Path.cwd().iterdir()) == []

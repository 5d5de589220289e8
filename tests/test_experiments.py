"""Every experiment of the repository loads, plans, and does two real training steps."""

import json
import os
from pathlib import Path

import pytest

from segsuite.experiment import load
from segsuite.io import store
from tests.reliability.trials import segsuite

REPOSITORY = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted(REPOSITORY.glob("experiments/*.yaml"))
by_name = pytest.mark.parametrize("path", EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
# Small enough for seconds; what is set here is not what an experiment compares.
SMOKE = ("train.max_steps=2", "train.epochs=1", "execution.device=cpu", "execution.threads=1", "train.precision=fp32",
         "train.batch_size=2", "train.accumulate=1")  # fmt: skip
SMALL_SHAPES = ("data.train_images=32", "data.val_images=2", "data.test_images=2", "seeds=[0]")


def test_there_are_experiments() -> None:
    assert {"quickstart", "camvid_unet"} <= {path.stem for path in EXPERIMENTS}


@by_name
def test_an_experiment_loads_and_its_name_is_that_of_its_file(path: Path) -> None:
    experiment = load(path)
    assert experiment.name == path.stem.replace("_", "-")
    assert experiment.question
    assert experiment.trials
    assert path.read_text().startswith("# Question: ")


@by_name
def test_an_experiment_plans_the_same_trials_in_another_process(path: Path) -> None:
    planned = segsuite("plan", path, "--json")
    found = json.loads(planned.stdout)
    assert [trial["id"] for trial in found["trials"]] == [trial.id for trial in load(path).trials]
    # Where CamVid is not at its usual place, that is all that is wrong.
    assert {problem["what"] for problem in found["problems"]} <= {"there is no dataset folder data/camvid"}
    assert planned.returncode == (2 if found["problems"] else 0)


def overrides_for(path: Path, runs: Path, camvid: Path | None) -> list[str]:
    trial = load(path).trials[0].settings
    texts = [f"runs_root={runs}", *SMOKE]
    if trial.data.name == "shapes":
        texts += SMALL_SHAPES
    elif camvid is not None:
        texts += [f"data.root={camvid}", "seeds=[0]"]
    return [part for text in texts for part in ("--set", text)]


def few_of(camvid: Path, folder: Path) -> Path:
    """The first 16 images of train and 2 of val: scoring all of them with each of 15 arms would take many minutes."""
    for split, count in (("train", 16), ("val", 2)):
        for part in (split, f"{split}annot"):
            (folder / part).mkdir(parents=True)
            for image in sorted((camvid / part).glob("*.png"))[:count]:
                (folder / part / image.name).symlink_to(image.resolve())
    return folder


def smoke(path: Path, overrides: list[str]) -> None:
    ran = segsuite("run", path, *overrides, "--workers", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    trials = load(path, overrides[1::2]).trials
    for trial in trials:
        assert store.state(trial.folder) == "finished"
        assert store.events(trial.folder)[-1]["step"] == 2
        assert (trial.folder / "log.txt").read_text() == ""
    assert "mIoU" in ran.stdout
    # A line of each --set and its continuation, and the table's.
    assert len(ran.stdout.splitlines()) < 40 + len(overrides) // 2 + 4 * len(trials)


@pytest.mark.slow
@by_name
def test_an_experiment_does_two_real_steps_and_prints_nothing_but_lines_and_a_table(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(path).trials[0].settings
    camvid = None
    if settings.data.name == "camvid":
        camvid = few_of(request.getfixturevalue("camvid_root"), tmp_path / "camvid")
    if settings.model.weights == "imagenet":
        if settings.model.encoder != "tf_efficientnet_lite0":
            pytest.skip(f"the ImageNet weights of {settings.model.encoder} are not there")
        weights = request.getfixturevalue("lite0_weights")
        monkeypatch.setenv("SEGSUITE_WEIGHTS", str(weights.parent))
    smoke(path, overrides_for(path, tmp_path, camvid))


def test_no_experiment_names_an_absolute_path() -> None:
    for path in [*EXPERIMENTS, *REPOSITORY.glob("experiments/base/*.yaml")]:
        assert os.sep + "home" not in path.read_text()
        assert ": /" not in path.read_text()

"""What is gathered from run directories, whole, damaged and missing ones."""

import zipfile
from pathlib import Path

import numpy as np

from segsuite.report.gather import gather
from tests.report.runs import ARMS, GRID, GRID_BASELINE, experiment_in, fail, finish, stop


def test_nothing_has_run(tmp_path: Path) -> None:
    gathered = gather(experiment_in(tmp_path))
    assert [trial.state for trial in gathered.trials] == ["new"] * 9
    assert gathered.finished == ()
    assert gathered.reference is None


def test_every_state_is_told(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment, only=lambda trial: trial.seed == 0)
    fail(experiment.trials[3], "the loss became NaN")
    stop(experiment.trials[4])
    gathered = gather(experiment)
    assert [trial.state for trial in gathered.trials] == ["finished"] * 3 + ["failed", "unfinished"] + ["new"] * 4
    assert gathered.trials[3].reason == "the loss became NaN"


def test_a_result_cut_in_half_is_damaged(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    result = experiment.trials[0].folder / "result.json"
    result.write_bytes(result.read_bytes()[:200])
    trial = gather(experiment).trials[0]
    assert trial.state == "damaged"
    assert "result.json is damaged" in trial.reason


def test_damaged_counts_take_a_trial_out_of_comparisons_only(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    (experiment.trials[0].folder / "counts.npz").write_bytes(b"PK damaged")
    gathered = gather(experiment)
    assert len(gathered.finished) == 9
    assert sorted(gathered.counts()[experiment.trials[0].arm]) == [1, 2]


def test_counts_damaged_in_their_middle_do_not_stop_the_report(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    path = experiment.trials[0].folder / "counts.npz"
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("counts.npy")
    content = bytearray(path.read_bytes())
    begin = entry.header_offset + 30 + len("counts.npy")
    content[begin : begin + 40] = b"\xff" * 40
    path.write_bytes(bytes(content))
    assert "counts.npz cannot be read" in gather(experiment).finished[0].reason


def test_trials_scored_on_other_images_are_not_paired(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    path = experiment.trials[0].folder / "counts.npz"
    arrays = dict(np.load(path))
    arrays["names"] = arrays["names"][::-1]
    np.savez_compressed(path, **arrays)
    assert 0 not in gather(experiment).counts()[experiment.trials[0].arm]


def test_an_image_without_a_label_has_no_score(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment)
    counted = gather(experiment).finished[0].counted
    assert counted is not None
    counted.counts[0] = 0
    miou = counted.image_miou()
    assert np.isnan(miou[0])
    assert np.isfinite(miou[1:]).all()


def test_the_axis_value_is_what_the_axis_does_not_say(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, GRID, baseline=GRID_BASELINE)
    axes = gather(experiment).axes
    assert list(axes) == ["model.upsampler", "loss.label_smoothing"]
    assert set(axes["model.upsampler"].values()) == set(ARMS)
    assert set(axes["loss.label_smoothing"].values()) == {"label_smoothing=0.0", "label_smoothing=0.1"}


def test_run_directories_of_earlier_settings_are_counted(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    finish(experiment, only=lambda trial: trial.seed == 0)
    shorter = experiment_in(tmp_path, seeds=(1, 2))
    assert gather(shorter).strangers == 3

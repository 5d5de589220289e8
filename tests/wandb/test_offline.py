"""What an offline run holds, read back from the transaction log."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.wandb import offline_log
from tests.wandb.scenarios import IDENTIFIER, RUN, manifest, python, samples


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a trial that was tracked offline, in an environment that holds secrets."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "runs" / "tiny" / IDENTIFIER
    secrets = {"AWS_SECRET_ACCESS_KEY": "very-secret-one", "WANDB_API_KEY": "local-" + "5ec7e7" * 7, "WANDB_MODE": ""}
    done = python(f"whole_trial(Path({str(folder)!r}), mode='offline', tags=('mine',))", home, **secrets)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return folder


@pytest.fixture(scope="module")
def run(trial: Path) -> offline_log.OfflineRun:
    """What the trial's only log says."""
    (path,) = offline_log.folders(trial)
    return offline_log.wait(path)


def test_the_run_is_the_trial(run: offline_log.OfflineRun) -> None:
    told = (run.id, run.project, run.group, run.job_type, run.tags, run.name)
    arm = "upsampler=nearest_conv"
    assert told == (RUN, "segsuite", f"tiny: {arm}", "train", ["tiny", "mine"], f"{arm}, seed 3")


def test_the_axes_are_flat_keys_without_dots(run: offline_log.OfflineRun) -> None:
    flat = {key: value for key, value in run.config.items() if key != "settings"}
    assert flat == {
        "experiment": "tiny",
        "arm": "upsampler=nearest_conv",
        "seed": 3,
        "model": "unet",
        "encoder": "resnet18",
        "upsampler": "nearest_conv",
        "loss": "cross_entropy",
        "dataset": "shapes",
        "learning_rate": 0.001,
        "commit": "c0ffee",
        "sources": "50",
        "data_fingerprint": "da7a",
    }


def test_all_settings_are_nested_under_settings(run: offline_log.OfflineRun) -> None:
    assert run.config["settings"]["model"]["decoder_channels"] == [256, 128, 64, 32, 16]
    assert "wandb" not in run.config["settings"]


def test_every_epoch_is_a_row(run: offline_log.OfflineRun) -> None:
    rows = [row for row in run.history if "epoch" in row]
    assert [(row["epoch"], row["trainer/global_step"]) for row in rows] == [(0, 10), (1, 20), (2, 30), (3, 40)]
    expected = {"train/loss": 0.25, "train/learning_rate": 0.001, "train/images_per_second": 20, "val/miou": 0.3}
    expected |= {"train/gradient_norm": 2.0, "val/loss": 1.5}
    expected |= {"memory/peak_bytes": 1000, "val_iou/sky": 0.6}
    assert {key: rows[3][key] for key in expected} == pytest.approx(expected)


def test_a_score_that_is_not_a_number_is_left_out(run: offline_log.OfflineRun) -> None:
    assert not any("val_iou/road" in row for row in run.history)


def test_the_steps_are_wandb_s_own(run: offline_log.OfflineRun) -> None:
    assert [row["_step"] for row in run.history] == list(range(len(run.history)))


def test_the_summary_is_the_result_and_says_that_it_is_complete(run: offline_log.OfflineRun) -> None:
    expected = {"final/miou": 0.75, "final_iou/road": 0.7, "cost/train_seconds": 6, "epochs": 4, "complete": 1}
    assert {key: run.summary[key] for key in expected} == expected
    assert run.exit_code == 0


def _images(run: offline_log.OfflineRun, key: str) -> list[dict[str, Any]]:
    return [row[key] for row in run.history if key in row]


def test_predictions_are_shown_on_the_photo_beside_its_ground_truth(run: offline_log.OfflineRun) -> None:
    # They stood alone, in the colours of their classes: toggling the mask of a picture of itself said nothing.
    rows = _images(run, "samples/prediction")
    assert [(row["format"], row["captions"]) for row in rows] == [("jpg", ["image0", "image1"])] * 4
    assert [sorted(masks) for row in rows for masks in row["all_masks"]] == [["ground_truth", "prediction"]] * 8


@pytest.mark.parametrize("mask", ["ground_truth", "prediction"])
def test_masks_are_lossless(trial: Path, run: offline_log.OfflineRun, mask: str) -> None:
    path = offline_log.folders(trial)[0] / "files" / _images(run, "samples/prediction")[0]["all_masks"][0][mask]["path"]
    np.testing.assert_array_equal(np.array(Image.open(path)), samples()[0].label)


def test_there_is_one_table_of_predictions(trial: Path, run: offline_log.OfflineRun) -> None:
    (table,) = _images(run, "final/predictions")
    content = json.loads((offline_log.folders(trial)[0] / "files" / table["path"]).read_text())
    assert content["columns"] == ["image", "prediction", "miou", "pixel_accuracy"]
    assert [row[2:] for row in content["data"]] == [[1.0, 1.0]] * 4


def test_code_and_data_stand_in_the_config(run: offline_log.OfflineRun) -> None:
    assert (run.config["commit"], run.config["data_fingerprint"]) == ("c0ffee", "da7a")


def test_the_run_uses_the_dataset_which_is_a_file_of_facts(run: offline_log.OfflineRun) -> None:
    (artifact,) = (one for one in run.artifacts if one["type"] == "dataset")
    assert (artifact["name"], artifact["used"]) == ("dataset-shapes", True)
    ((name, path),) = artifact["contents"]
    facts = json.loads(Path(path).read_text())
    assert name == "dataset.json"
    assert facts == {**manifest()["dataset"], "fingerprint": "da7a"}


def test_the_summary_has_the_best_miou_and_the_lowest_loss(run: offline_log.OfflineRun) -> None:
    assert run.summary["val/miou"] == {"max": pytest.approx(0.3)}
    assert run.summary["val/loss"] == {"min": 1.5}


def test_there_is_one_table_of_classes(trial: Path, run: offline_log.OfflineRun) -> None:
    (table,) = (row["final/per_class"] for row in run.history if "final/per_class" in row)
    content = json.loads((offline_log.folders(trial)[0] / "files" / table["path"]).read_text())
    assert content["columns"] == ["class", "iou", "precision"]
    assert content["data"] == [["sky", 0.8, 0.9], ["road", 0.7, None]]


def test_staged_files_lie_beside_the_trials(trial: Path, run: offline_log.OfflineRun) -> None:
    staged = [Path(path) for artifact in run.artifacts for _, path in artifact["contents"]]
    assert [artifact["type"] for artifact in run.artifacts] == ["dataset", "run_table", "run_table"]
    assert all(path.is_file() and path.is_relative_to(trial.parent) for path in staged)


def test_nothing_lies_in_the_home_folder(trial: Path, run: offline_log.OfflineRun) -> None:
    assert [path.name for path in trial.parents[2].iterdir()] == ["runs"]


def test_no_console_output_is_recorded(run: offline_log.OfflineRun) -> None:
    assert run.output == []


def test_no_secret_is_recorded(trial: Path, run: offline_log.OfflineRun) -> None:
    content = b"".join(path.read_bytes() for path in trial.parent.rglob("*") if path.is_file())
    assert b"very-secret-one" not in content
    assert b"5ec7e75ec7e7" not in content


def test_checkpoints_are_artifacts_only_when_asked(run: offline_log.OfflineRun, folder: Path, tmp_path: Path) -> None:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"weights")
    python(f"whole_trial(Path({str(folder)!r}), checkpoints=True, images=0)", tmp_path)
    asked = offline_log.wait(offline_log.folders(folder)[0])
    assert [artifact["type"] for artifact in asked.artifacts] == ["dataset", "run_table", "model"]
    assert asked.artifacts[2]["contents"] == [("last.ckpt", str(folder / "checkpoints" / "last.ckpt"))]


def test_disabled_neither_imports_wandb_nor_writes_anything(folder: Path, tmp_path: Path) -> None:
    code = f"whole_trial(Path({str(folder)!r}), mode='disabled')\nprint('wandb' in sys.modules)"
    assert python(code, tmp_path).stdout == "False\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        "events.jsonl", "manifest.json", "metrics.csv", "result.json", "samples",
    ]  # fmt: skip


@pytest.mark.parametrize("setting", ["auto", "offline", "online"])
def test_the_environment_wins_over_the_setting(folder: Path, tmp_path: Path, setting: str) -> None:
    code = f"whole_trial(Path({str(folder)!r}), mode={setting!r})"
    assert python(code, tmp_path, WANDB_MODE="disabled").returncode == 0
    assert not (folder / "wandb").exists()

"""What an offline run holds, read back from the transaction log."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.wandb import offline_log
from tests.wandb.scenarios import IDENTIFIER, RUN, python, samples


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
    }


def test_all_settings_are_nested_under_settings(run: offline_log.OfflineRun) -> None:
    assert run.config["settings"]["model"]["decoder_channels"] == [256, 128, 64, 32, 16]
    assert "wandb" not in run.config["settings"]


def test_every_epoch_is_a_row(run: offline_log.OfflineRun) -> None:
    rows = [row for row in run.history if "epoch" in row]
    assert [(row["epoch"], row["trainer/global_step"]) for row in rows] == [(0, 10), (1, 20), (2, 30), (3, 40)]
    expected = {"train/loss": 0.25, "train/learning_rate": 0.001, "train/images_per_second": 20, "val/miou": 0.3}
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


def test_photos_are_jpeg_and_stand_there_once(run: offline_log.OfflineRun) -> None:
    (truth,) = _images(run, "samples/truth")
    assert (truth["format"], truth["captions"]) == ("jpg", ["image0", "image1"])
    assert sum(name.endswith(".jpg") for name in set(run.files)) == 2


@pytest.mark.parametrize(("key", "mask"), [("samples/truth", "ground_truth"), ("samples/prediction", "prediction")])
def test_masks_are_lossless(trial: Path, run: offline_log.OfflineRun, key: str, mask: str) -> None:
    path = offline_log.folders(trial)[0] / "files" / _images(run, key)[0]["all_masks"][0][mask]["path"]
    np.testing.assert_array_equal(np.array(Image.open(path)), samples()[0].label)


def test_there_is_one_table_of_classes(trial: Path, run: offline_log.OfflineRun) -> None:
    (table,) = (row["final/per_class"] for row in run.history if "final/per_class" in row)
    content = json.loads((offline_log.folders(trial)[0] / "files" / table["path"]).read_text())
    assert content["columns"] == ["class", "iou", "precision"]
    assert content["data"] == [["sky", 0.8, 0.9], ["road", 0.7, None]]


def test_staged_files_lie_beside_the_trials(trial: Path, run: offline_log.OfflineRun) -> None:
    staged = [Path(path) for artifact in run.artifacts for _, path in artifact["contents"]]
    assert [artifact["type"] for artifact in run.artifacts] == ["run_table"]
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
    assert [artifact["type"] for artifact in asked.artifacts] == ["run_table", "model"]
    assert asked.artifacts[1]["contents"] == [("last.ckpt", str(folder / "checkpoints" / "last.ckpt"))]


def test_disabled_neither_imports_wandb_nor_writes_anything(folder: Path, tmp_path: Path) -> None:
    code = f"whole_trial(Path({str(folder)!r}), mode='disabled')\nprint('wandb' in sys.modules)"
    assert python(code, tmp_path).stdout == "False\n"
    assert sorted(path.name for path in folder.iterdir()) == ["events.jsonl", "metrics.csv", "result.json"]


@pytest.mark.parametrize("setting", ["auto", "offline", "online"])
def test_the_environment_wins_over_the_setting(folder: Path, tmp_path: Path, setting: str) -> None:
    code = f"whole_trial(Path({str(folder)!r}), mode={setting!r})"
    assert python(code, tmp_path, WANDB_MODE="disabled").returncode == 0
    assert not (folder / "wandb").exists()

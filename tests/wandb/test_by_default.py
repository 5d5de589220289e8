"""What `segsuite run E.yaml` does with no settings of W&B: every trial's log, read back, holds all of its run.

A new home folder, no variable of W&B, no key: trials log offline. Several trials in one run, as in the README: what one
trial leaves behind must not take anything from the next.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segsuite.experiment import Experiment, load
from tests.wandb import offline_log
from tests.wandb.scenarios import REPOSITORY, environment

# experiments/quickstart.yaml with fewer arms, on small images for few steps.
YAML = """
name: quick
question: Which upsampler?
data: {{name: shapes, size: [32, 48], train_images: 4, val_images: 4}}
model: {{name: unet, encoder: resnet18, decoder_channels: [8, 8, 8, 8, 8]}}
train: {{epochs: 2, batch_size: 4, optimizer: {{name: adamw, learning_rate: 2e-3}}}}
compare: {{model.upsampler: [nearest_conv, bilinear_conv]}}
seeds: [0, 1]
baseline: {{model.upsampler: bilinear_conv}}
runs_root: {root}
"""
EPOCHS, IMAGES = 2, 4


def run(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """`segsuite run`, in the folder of the experiment."""
    return subprocess.run(
        [sys.executable, "-m", "segsuite", "run", str(path), *more], cwd=path.parent, capture_output=True, text=True,
        env=environment(path.parent, PYTHONPATH=str(REPOSITORY)), timeout=540, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, subprocess.CompletedProcess[str]]:
    """Four trials of one `segsuite run`, and what it printed."""
    path = tmp_path_factory.mktemp("quick") / "quick.yaml"
    path.write_text(YAML.format(root=path.parent / "runs"))
    printed = run(path)
    assert printed.returncode == 0, printed.stdout + printed.stderr
    return load(path), printed


def media(folder: Path, row: dict[str, Any], key: str) -> list[Path]:
    """The files of images, with those of their masks, or of a table in a row of the history."""
    value = row[key]
    named = [value["path"]] if "path" in value else list(value["filenames"])
    named += [mask["path"] for masks in value.get("all_masks") or [] for mask in masks.values()]
    return [folder / "files" / name for name in named]


@pytest.mark.slow
def test_no_warning_is_printed(done: tuple[Experiment, subprocess.CompletedProcess[str]]) -> None:
    experiment, printed = done
    assert "warning" not in (printed.stdout + printed.stderr).lower()
    assert {(trial.folder / "log.txt").read_text() for trial in experiment.trials} == {""}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_the_log_of_every_trial_holds_its_images_and_tables(
    done: tuple[Experiment, subprocess.CompletedProcess[str]], number: int
) -> None:
    (folder,) = offline_log.folders(done[0].trials[number].folder)
    log = offline_log.wait(folder)
    found = {
        key: [media(folder, row, key) for row in log.history if key in row]
        for key in ("samples/prediction", "final/per_class", "final/predictions")
    }
    # A photo, its ground truth and its prediction each.
    assert [len(paths) for paths in found["samples/prediction"]] == [3 * IMAGES] * EPOCHS
    assert [len(paths) for paths in found["final/per_class"] + found["final/predictions"]] == [1, 1]
    assert all(path.stat().st_size > 0 for lists in found.values() for paths in lists for path in paths)
    table = json.loads(found["final/per_class"][0][0].read_text())
    assert len(table["data"]) == 8
    (pictures,) = (one["contents"] for one in log.artifacts if "finalpredictions" in one["name"])
    assert sum(name.startswith("media/images/") for name, _ in pictures) == 3 * IMAGES
    assert all(Path(path).stat().st_size > 0 for one in log.artifacts for _, path in one["contents"])
    assert [row["epoch"] for row in log.history if "train/loss" in row] == list(range(EPOCHS))
    assert (log.exit_code, log.summary["complete"]) == (0, 1)

"""`segsuite run` from the outside: what is done stays done, what fails is recorded, what is wrong is said at once."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsuite.io import store
from tests.datasets.trees import folder_tree, ids_of, image_of, save
from tests.reliability.trials import environment, kill, segsuite, start, trials_of, write_experiment

CANARY = "canary-7f3a9c"
SHORT = {"train__epochs": 1, "train__max_steps": 2}
FOLDER: dict[str, Any] = {
    "name": "folder", "classes": ["a", "b"], "images": "images/*.png", "masks": "masks/*.png",
    "fractions": {"train": 0.75, "val": 0.25},
}  # fmt: skip


def folder_experiment(tmp_path: Path, **data: Any) -> Path:
    return write_experiment(tmp_path, data={**FOLDER, "root": str(tmp_path / "data"), **data}, **SHORT)


def files_of(folder: Path) -> dict[str, float]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_finished_experiment_starts_no_process_and_writes_nothing_when_called_again(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, seeds=[0, 1], **SHORT)
    first = segsuite("run", path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr == ""
    before = files_of(tmp_path / "runs")
    begun = time.monotonic()
    second = segsuite("run", path)
    assert time.monotonic() - begun < 60
    assert second.returncode == 0
    assert "2 already finished" in second.stdout
    assert files_of(tmp_path / "runs") == before


@pytest.mark.slow
def test_one_failing_trial_is_recorded_and_the_others_finish(tmp_path: Path) -> None:
    path = write_experiment(
        tmp_path, compare={"train.optimizer.learning_rate": [1e30, 1e-3]}, train__epochs=1, train__max_steps=6
    )
    ran = segsuite("run", path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    failed, finished = trials_of(path)
    assert [store.state(trial.folder) for trial in (failed, finished)] == ["failed", "finished"]
    failure = store.read_json(failed.folder / "failure.json")
    assert failure is not None
    assert failure["kind"] == "NonFiniteError"
    status = segsuite("status", path, "--json")
    assert status.returncode == 1
    told = {trial["id"]: trial for trial in json.loads(status.stdout)["trials"]}
    assert told[failed.id]["reason"] == failure["reason"]
    assert failure["reason"] in segsuite("status", path).stdout
    assert failure["reason"] in ran.stdout


@pytest.mark.slow
def test_two_launchers_at_once_run_each_trial_once(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, seeds=[0, 1, 2], **SHORT)
    launchers = [start("segsuite", "run", path) for _ in range(2)]
    try:
        outputs = ["".join(launcher.communicate(timeout=180)) for launcher in launchers]
    finally:
        for launcher in launchers:
            kill(launcher)
    assert [launcher.returncode for launcher in launchers] == [0, 0], "\n".join(outputs)
    assert not any("Traceback" in output for output in outputs)
    for trial in trials_of(path):
        assert store.state(trial.folder) == "finished"
        assert len(store.events(trial.folder)) == 1


@pytest.mark.slow
def test_a_process_that_comes_after_the_trial_has_finished_leaves_it_as_it_is(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **SHORT)
    assert segsuite("run", path).returncode == 0
    (trial,) = trials_of(path)
    before = files_of(trial.folder)
    again = subprocess.run([sys.executable, "-m", "segsuite.trial", trial.folder], capture_output=True, check=False)
    assert (again.returncode, again.stdout) == (0, b"")
    assert files_of(trial.folder) == before


@pytest.mark.slow
def test_no_secret_reaches_the_run_directory(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **SHORT)
    names = ("WANDB_API_KEY", "AWS_SECRET", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN")
    ran = segsuite("run", path, env=environment(**dict.fromkeys(names, CANARY)))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert CANARY not in ran.stdout
    found = [file for file in tmp_path.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]
    assert found == []


@pytest.mark.slow
def test_a_process_that_dies_without_a_word_is_recorded(tmp_path: Path) -> None:
    """As the kernel does when the memory is full."""
    import os
    import signal

    from segsuite.io import claims
    from tests.reliability.trials import wait_for

    path = write_experiment(tmp_path, train__epochs=50)
    (trial,) = trials_of(path)
    process = start("segsuite", "run", path)
    try:
        wait_for(lambda: store.events(trial.folder), "an epoch")
        holder = claims.read(trial.folder)
        assert holder is not None
        os.kill(int(holder["pid"]), signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
    finally:
        kill(process)
    assert process.returncode == 1
    assert "ended by SIGKILL" in output
    assert store.state(trial.folder) == "failed"


def refused(path: Path, *words: str, code: int = 2) -> None:
    """`segsuite run` ends before any trial, without a traceback, and says all `words`."""
    ran = segsuite("run", path)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert ran.stderr.startswith("error: ")
    assert "Traceback" not in ran.stderr
    for word in words:
        assert word in ran.stderr
    assert not list(path.parent.glob("runs/*/*/log.txt"))


def test_a_runs_root_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = write_experiment(tmp_path, runs_root=str(tmp_path / "file" / "runs"))
    refused(path, "is no folder", str(tmp_path / "file"), "runs_root")


def test_an_unknown_label_value_is_named_with_its_file_before_the_first_step(tmp_path: Path) -> None:
    folder_tree(tmp_path / "data", ["one", "two", "three", "four"])
    save(tmp_path / "data" / "masks" / "three.png", ids_of(0, 1, 1, 9))
    refused(folder_experiment(tmp_path), "three.png", "9")


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    folder_tree(tmp_path / "data", ["one", "two", "three", "four"])
    save(tmp_path / "data" / "masks" / "two.png", ids_of(0, 1, size=(5, 8)))
    refused(folder_experiment(tmp_path), "two.png")


def test_a_damaged_png_is_named(tmp_path: Path) -> None:
    folder_tree(tmp_path / "data", ["one", "two", "three", "four"])
    image = tmp_path / "data" / "images" / "four.png"
    save(image, image_of(size=(64, 64)))
    save(tmp_path / "data" / "masks" / "four.png", ids_of(0, 1, size=(64, 64)))
    image.write_bytes(image.read_bytes()[:2000])
    refused(folder_experiment(tmp_path), "four.png")


def test_all_bad_files_are_named_in_one_run(tmp_path: Path) -> None:
    folder_tree(tmp_path / "data", ["one", "two", "three", "four"])
    save(tmp_path / "data" / "masks" / "three.png", ids_of(0, 9))
    Image.fromarray(np.full((6, 8), 7, np.uint8)).save(tmp_path / "data" / "masks" / "one.png")
    refused(folder_experiment(tmp_path), "three.png", "one.png")


def test_a_wrong_root_is_named(tmp_path: Path) -> None:
    refused(folder_experiment(tmp_path, root=str(tmp_path / "nowhere")), str(tmp_path / "nowhere"))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "images").mkdir(parents=True)
    refused(folder_experiment(tmp_path), "no file matches", str(tmp_path / "data"))


def test_a_wrong_camvid_root_is_named(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, data={"name": "camvid", "root": str(tmp_path / "camvid")}, **SHORT)
    refused(path, str(tmp_path / "camvid"))


def test_a_wrong_key_is_named_with_its_line_and_the_nearest_one(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    path.write_text(path.read_text().replace("epochs:", "epoch:"))
    refused(path, "'epoch'", "'epochs'", "tiny.yaml:")

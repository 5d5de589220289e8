"""Logging to a server, which may be resumed on, dead, dying or refusing."""

import subprocess
import time
from pathlib import Path
from urllib.parse import urlparse

import pytest

from tests.wandb import offline_log
from tests.wandb.backend import API_KEY, Backend
from tests.wandb.scenarios import REPOSITORY, RUN, command, environment, python
from tests.wandb.test_interrupted import attempt

CLOSED = "http://127.0.0.1:9"  # the discard port: refused at once


def whole(folder: Path, **settings: object) -> str:
    """Code that tracks a whole trial."""
    return f"whole_trial(Path({str(folder)!r}), **{settings!r})"


def warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if "'phase': 'warning'" in line]


def epochs_of(rows: list[dict[str, object]]) -> list[object]:
    return [row["epoch"] for row in rows if "epoch" in row]


def test_auto_with_a_key_is_online(server: Backend, folder: Path, tmp_path: Path) -> None:
    values = server.environment() | {"WANDB_MODE": "auto"}
    done = python(whole(folder), tmp_path, **values)
    run = server.runs[RUN]
    assert (done.stdout, run.state, epochs_of(run.history)) == ("", "finished", [0, 1, 2, 3])
    assert (run.group, run.tags, run.job_type) == ("tiny: upsampler=nearest_conv", ["tiny"], "train")
    assert (run.values["upsampler"], run.values["settings"]["seed"]) == ("nearest_conv", 3)
    assert (run.summary["final/miou"], run.summary["complete"]) == (0.75, 1)
    assert {Path(name).suffix for name in run.files if name.startswith("media/")} == {".jpg", ".png", ".json"}
    artifacts = sorted((one["type"], one["state"]) for one in server.artifacts.values())
    assert artifacts == [("dataset", "COMMITTED"), ("run_table", "COMMITTED"), ("run_table", "COMMITTED")]
    assert [one["name"] for one in server.artifacts.values() if one["used_by"] == [RUN]] == ["dataset-shapes"]


def test_a_key_in_the_netrc_is_found_without_asking_anybody(server: Backend, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine {urlparse(server.url).netloc}\n  login user\n  password {API_KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    done = python(whole(folder, images=0), tmp_path, WANDB_BASE_URL=server.url)
    assert (done.stdout, server.runs[RUN].state) == ("", "finished")


def test_auto_without_a_key_is_offline_and_asks_no_server(server: Backend, folder: Path, tmp_path: Path) -> None:
    done = python(whole(folder, images=0), tmp_path, WANDB_BASE_URL=server.url)
    assert (done.stdout, server.requests) == ("", [])
    assert len(offline_log.folders(folder)) == 1


def test_a_preempted_trial_is_continued_in_the_same_run(server: Backend, folder: Path, tmp_path: Path) -> None:
    values = server.environment()
    python(attempt(folder, 0, 2, "raise Preempted('stopped')"), tmp_path, **values)
    run = server.runs[RUN]
    assert (run.state, run.exit_code) == ("preempted", 75)
    python(attempt(folder, 2, 4, "tracker.finish(result())"), tmp_path, **values)
    assert list(server.runs) == [RUN]
    assert set(epochs_of(run.history)) == {0, 1, 2, 3}
    assert [row["_step"] for row in run.history] == sorted({row["_step"] for row in run.history})
    assert (run.exit_code, run.summary["complete"]) == (0, 1)


def test_an_unreachable_server_means_offline_with_one_warning(folder: Path, tmp_path: Path) -> None:
    done = python(whole(folder), tmp_path, WANDB_BASE_URL=CLOSED, WANDB_API_KEY=API_KEY, WANDB_MODE="online")
    assert len(warnings(done)) == 1
    assert "does not answer; logging offline; the training goes on" in done.stdout
    run = offline_log.wait(offline_log.folders(folder)[0])
    assert (done.returncode, run.exit_code, epochs_of(run.history)) == (0, 0, [0, 1, 2, 3])


def test_an_unreachable_server_is_not_waited_for(folder: Path, tmp_path: Path) -> None:
    code = f"started = time.monotonic()\n{whole(folder, images=0)}\nprint(time.monotonic() - started)"
    done = python(f"import time\n{code}", tmp_path, WANDB_BASE_URL=CLOSED, WANDB_API_KEY=API_KEY, WANDB_MODE="online")
    assert float(done.stdout.splitlines()[-1]) < 8


def test_a_server_that_refuses_means_offline_with_one_warning(server: Backend, folder: Path, tmp_path: Path) -> None:
    server.fail = lambda operation: (500, {"error": "out of order"})
    done = python(whole(folder), tmp_path, **server.environment() | {"WANDB_INIT_TIMEOUT": "3"})
    assert (done.returncode, len(warnings(done))) == (0, 1), done.stdout
    run = offline_log.wait(offline_log.folders(folder)[0])
    assert (run.id, run.exit_code, epochs_of(run.history)) == (RUN, 0, [0, 1, 2, 3])


def test_a_malformed_key_means_offline_with_one_warning(server: Backend, folder: Path, tmp_path: Path) -> None:
    done = python(whole(folder, images=0), tmp_path, **server.environment() | {"WANDB_API_KEY": "short"})
    assert (done.returncode, len(warnings(done))) == (0, 1), done.stdout
    assert "short" not in done.stdout
    assert len(offline_log.folders(folder)) == 1


@pytest.mark.slow
def test_a_server_that_dies_does_not_hold_up_a_training(server: Backend, folder: Path, tmp_path: Path) -> None:
    code = attempt(folder, 0, 2, "print('ready', flush=True); sys.stdin.readline(); epochs(tracker, folder, 2, 4)")
    code += "    tracker.truth(samples(), CLASSES)\n    tracker.finish(result())\nprint('trained', flush=True)\n"
    values = environment(tmp_path, **server.environment() | {"WANDB_FINISH_TIMEOUT": "4"})
    process = subprocess.Popen(
        command(code), cwd=REPOSITORY, env=values, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    server.wait(lambda: server.runs[RUN].history)
    server.stop()
    started = time.monotonic()
    told, _ = process.communicate("\n", timeout=120)
    assert (process.returncode, told.splitlines()[-1]) == (0, "trained")
    assert time.monotonic() - started < 90
    (log,) = (folder / "wandb").glob("run-*")
    kept = offline_log.read(log)
    assert set(epochs_of(kept.history)) == {0, 1, 2, 3}  # for wandb-sync
    assert kept.summary["complete"] == 1

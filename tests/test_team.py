"""Several people on one runs_root: modes and groups of files, whose things are, and sentences for who may not write."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from segsuite.cli import main
from segsuite.datasets.image_io import write_label
from segsuite.errors import ClaimError
from segsuite.experiment import load
from segsuite.io import atomic, claims, store, trial_warnings, users
from segsuite.launch.freeze import freeze
from segsuite.launch.slurm.arrays import Place
from segsuite.launch.slurm.queue import submitters
from segsuite.launch.status import Status
from tests.reliability.trials import REPOSITORY, environment, segsuite, trials_of, write_experiment
from tests.report.runs import experiment_in, finish
from tests.results import whole_result

ROOT = os.geteuid() == 0
GROUP, STRANGER = 4711, 65534
needs_root = pytest.mark.skipif(not ROOT, reason="only root can take another user's place")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def of_a_group(folder: Path) -> Path:
    """A folder whose group everything in it inherits."""
    folder.mkdir()
    if ROOT:
        os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)
    return folder


def assert_shared(folder: Path, mask: int) -> None:
    """Whether everything below `folder` is of its group and has what the umask leaves."""
    group = folder.stat().st_gid
    for path in folder.rglob("*"):
        found = path.lstat()
        assert found.st_gid == group, path
        if stat.S_ISLNK(found.st_mode):
            continue
        wanted = (0o2777 if path.is_dir() else 0o666) & ~mask
        assert oct(stat.S_IMODE(found.st_mode)) == oct(wanted), path


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077])
def test_files_follow_the_umask_and_the_group_of_their_folder(mask: int, tmp_path: Path) -> None:
    shared = of_a_group(tmp_path / "shared")
    with umask(mask):
        made = experiment_in(shared, images=4)
        finish(made)
        run = store.RunDirectory(freeze(made.trials[0]))
        with claims.claim(run.folder) as held:
            run.check_claim()
            held.check()
            assert stat.S_IMODE((run.folder / "claim.json").stat().st_mode) == 0o666 & ~mask
        run.open()
        run.add_event({"epoch": 0, "loss": 1.0})
        run.rewind(0)
        run.fail(ValueError("a reason"))
        trial_warnings.note(run.folder, "a warning")
        atomic.write_bytes(run.last_checkpoint, b"weights")
        atomic.duplicate(run.last_checkpoint, run.best_checkpoint)
        write_label(run.folder / "samples" / "a.png", np.zeros((2, 2), np.uint8), [(0, 0, 0)])
        Place.of(made).new_table([[trial.id for trial in made.trials]])
        atomic.put_back(atomic.take_away(run.folder / "failure.json") or Path(), run.folder / "failure.json")
        assert main(["report", str(made.path)]) == 0
        assert main(["status", str(made.path)]) in (0, 1)
    assert_shared(shared, mask)


@pytest.mark.slow
def test_what_a_real_run_leaves_is_the_groups(tmp_path: Path) -> None:
    shared = of_a_group(tmp_path / "shared")
    with umask(0o002):
        path = write_experiment(shared, train__epochs=1, checkerboard__measure=True)
        done = segsuite("run", path, env=environment(WANDB_MODE="offline"))
    assert done.returncode == 0, done.stderr
    assert list((shared / "runs" / "tiny" / ".wandb").rglob("staging/*"))
    assert_shared(shared, 0o002)


def test_files_of_other_programs_follow_the_umask_too(tmp_path: Path) -> None:
    shared = of_a_group(tmp_path / "shared")
    (shared / "staged").write_text("")
    (shared / "staged").chmod(0o400)
    (shared / "kept").mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "mine").write_text("")
    (tmp_path / "mine").chmod(0o600)
    (shared / "link").symlink_to(tmp_path / "elsewhere")
    (shared / "file").symlink_to(tmp_path / "mine")
    with umask(0o002):
        users.follow_umask(shared)
    assert_shared(shared, 0o002)
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o600


def test_who_runs_a_trial_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_experiment(tmp_path)
    (trial,) = trials_of(path)
    freeze(trial)
    with claims.claim(trial.folder):
        (told,) = Status(load(path)).look()["trials"]
        assert (told["owner"], told["claim"]["user"], told["claim"]["pid"]) == (users.name(), users.name(), os.getpid())
        assert main(["why", str(path), trial.id]) == 0
        assert f"it is being run by process {os.getpid()} on " in capsys.readouterr().out
        with pytest.raises(ClaimError, match=f"{users.name()}'s"), claims.claim(trial.folder):
            pass


def test_trials_of_others_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_experiment(tmp_path)
    (trial,) = trials_of(path)
    freeze(trial)
    holder = {"host": "elsewhere", "pid": 7, "user": "anna"}
    atomic.write_json(trial.folder / "claim.json", holder)
    assert main(["status", str(path)]) == 0
    assert "anna's: tiny, seed 0" in capsys.readouterr().out
    with pytest.raises(ClaimError) as caught, claims.claim(trial.folder):
        pass
    assert caught.value.what == "the trial is being run by process 7 on elsewhere, anna's"
    assert caught.value.advice == "wait for it"


@needs_root
def test_tasks_of_all_who_have_submitted_are_asked_for(tmp_path: Path) -> None:
    """What a colleague has queued from this folder would else be queued again."""
    place = Place(tmp_path)
    assert submitters(tmp_path) == "root"
    place.new_table([["a"]])
    os.chown(place.tables / "1.txt", STRANGER, -1)
    assert submitters(tmp_path) == ",".join(sorted(("root", users.name(STRANGER))))
    assert submitters(None) == "root"


def test_a_user_without_a_name_has_a_number() -> None:
    assert users.name(123456) == "123456"


@pytest.fixture
def of_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An experiment of root with a failed trial, one that has finished with all its state, and one that is new."""
    folder = Path("/tmp") / f"segsuite-team-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        with umask(0o022):
            path = write_experiment(folder, seeds=[0, 1, 2])
            failed, finished, _ = trials_of(path)
            store.record_failure(freeze(failed), "Died", "of old age")
            atomic.write_json(freeze(finished) / "result.json", whole_result())
            atomic.write_bytes(finished.folder.with_name("0123456789ab") / "checkpoints" / "last.ckpt", b"0")
            text = (finished.folder / "trial.yaml").read_text().replace(finished.id, "0123456789ab")
            atomic.write_text(finished.folder.with_name("0123456789ab") / "trial.yaml", text)
        yield path
    finally:
        shutil.rmtree(folder)


def as_stranger(*words: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command of another user who is in none of root's groups."""
    home = environment(HOME="/nonexistent", XDG_CACHE_HOME="/nonexistent", PYTHONDONTWRITEBYTECODE="1", **variables)
    command = [
        "setpriv",
        f"--reuid={STRANGER}",
        f"--regid={STRANGER}",
        "--clear-groups",
        sys.executable,
        *map(str, words),
    ]
    return subprocess.run(command, env=home, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


@needs_root
@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "--set", "name=another"],
        ["run", "--on", "slurm"],
        ["retry"],
        ["clean", "--old", "--yes"],
        ["report"],
    ],
    ids=" ".join,
)
def test_who_may_not_write_gets_a_sentence(words: list[str], of_root: Path) -> None:
    if shutil.which("setpriv") is None or as_stranger("-c", "import segsuite.cli").returncode != 0:
        pytest.skip("another user cannot run this Python")
    before = {path: path.lstat().st_mtime_ns for path in of_root.parent.rglob("*")}
    done = as_stranger("-m", "segsuite", words[0], of_root, *words[1:])
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    what, where, advice = done.stderr.strip().splitlines()[-3:]
    assert "Permission denied; " in what
    assert what.endswith("is root's")
    assert where.startswith(f"  where: {of_root.parent}")
    assert "group" in advice
    assert {path: path.lstat().st_mtime_ns for path in of_root.parent.rglob("*")} == before


SCANCEL = """#!/bin/sh
echo "scancel: error: Kill job error on job id 7_0: Access/permission denied" >&2
exit 1
"""


@needs_root
@pytest.mark.parametrize("refuses", [True, False])
def test_who_may_not_cancel_gets_a_sentence(refuses: bool, of_root: Path) -> None:
    """SLURM refuses tasks of others; an operator's word it takes, who may still not write to the folder."""
    if shutil.which("setpriv") is None or as_stranger("-c", "import segsuite.cli").returncode != 0:
        pytest.skip("another user cannot run this Python")
    with umask(0o022):
        place = Place.of(load(of_root))
        trial = trials_of(of_root)[2]
        place.new_table([[trial.id]])
        programs = of_root.parent / "bin"
        programs.mkdir()
        name = place.job_name(1, "tiny")
        (programs / "squeue").write_text(f"#!/bin/sh\necho '7_0|{name}|PENDING||0:00|Priority'\n")
        (programs / "scancel").write_text(SCANCEL if refuses else "#!/bin/sh\nexit 0\n")
        for program in programs.iterdir():
            program.chmod(0o755)
    done = as_stranger("-m", "segsuite", "cancel", of_root, PATH=f"{programs}:{os.environ['PATH']}")
    assert "Traceback" not in done.stderr
    assert ("Access/permission denied" if refuses else "Permission denied; ") in done.stderr
    assert done.returncode == (1 if refuses else 2), done.stderr


@needs_root
@pytest.mark.parametrize("words", [["status"], ["plan"], ["why"]], ids=" ".join)
def test_who_may_only_read_can_look(words: list[str], of_root: Path) -> None:
    if shutil.which("setpriv") is None or as_stranger("-c", "import segsuite.cli").returncode != 0:
        pytest.skip("another user cannot run this Python")
    done = as_stranger("-m", "segsuite", words[0], of_root, *words[1:])
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr
    if words == ["why"]:
        assert "whose: root's" in done.stdout

"""A trial forked from the warm pool is what one in a fresh process is, and nothing that dies takes another down."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segsuite.experiment import Trial
from segsuite.io import claims, store
from segsuite.launch import warm
from segsuite.launch.attempt import Attempt, environment
from segsuite.launch.freeze import freeze
from segsuite.launch.slots import Slot
from segsuite.launch.warm import Forked, Pool
from tests.reliability.trials import customised, kill, outcome, saved_step, start, trials_of, wait_for, write_experiment
from tests.results import whole_result

SLOT = Slot(threads=2)
# Writes down what a trial's process finds, when it first looks for its result.
PROBE = """
import json, os, signal, sys
def tell(event, arguments):
    if event != "open" or not str(arguments[0]).endswith("result.json") or tell.done or "torch" not in sys.modules:
        return
    tell.done = True
    import numpy, torch
    path = str(arguments[0]).replace("result.json", "process.json")
    found = {
        "environment": dict(os.environ), "argv": sys.argv, "path": sys.path, "cwd": os.getcwd(),
        "main": sys.modules["__main__"].__spec__ and sys.modules["__main__"].__spec__.name,
        "leads its session": os.getsid(0) == os.getpid(), "umask": os.umask(0o22),
        "signals": [getattr(at, "__qualname__", str(at)) for at in map(signal.getsignal, signal.valid_signals())],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "cores": sorted(os.sched_getaffinity(0)), "files": len(os.listdir("/proc/self/fd")),
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "terminal": [stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "random": [int(numpy.random.randint(2**31)), torch.initial_seed()],
    }
    with open(path, "w") as file:
        json.dump(found, file)
tell.done = False
sys.addaudithook(tell)
"""


class Warm:
    """A pool that is warm whenever it is asked for."""

    def __init__(self, python_path: str) -> None:
        self.warnings: list[str] = []
        self.pool, self.python_path = Pool(self.warnings.append), python_path

    def __call__(self) -> Pool:
        if not self.pool.ready:
            self.warnings.clear()
            self.pool.open(environment(SLOT) | {"PYTHONPATH": self.python_path})
            wait_for(lambda: not self.pool.warming(), "the pool")
            assert self.pool.ready, self.warnings
        return self.pool


@pytest.fixture(scope="module")
def warm_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    opened = Warm(customised(tmp_path_factory.mktemp("customised"), PROBE))
    yield opened
    opened.pool.close()


def of(folder: Path, **changes: Any) -> Trial:
    (trial,) = trials_of(write_experiment(folder, wandb__mode="disabled", **changes))
    freeze(trial)
    return trial


def begin(trial: Trial, pool: Pool) -> tuple[Attempt, list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    return Attempt(trial, SLOT, told.append, pool), told


def code_of(attempt: Attempt) -> int:
    wait_for(attempt.ended, "the end of the attempt")
    return attempt.code


def pid_of(trial: Trial) -> int:
    wait_for(lambda: saved_step(trial.folder) >= 1, "a step")
    holder = claims.read(trial.folder)
    assert holder is not None
    return int(holder["pid"])


def is_forked(attempt: Attempt) -> bool:
    return isinstance(attempt._process, Forked)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"execution__threads": 2, "execution__workers": 2}], ids=["plain", "workers"])
def test_a_forked_trial_ends_with_the_bits_of_a_fresh_one(
    changes: dict[str, Any], tmp_path: Path, warm_pool: Warm
) -> None:
    trials = [of(tmp_path / name, train__epochs=1, **changes) for name in ("fresh", "forked")]
    (fresh, _), (forked, told) = begin(trials[0], Pool(print)), begin(trials[1], warm_pool())
    assert (is_forked(fresh), is_forked(forked)) == (False, True)
    assert (code_of(fresh), code_of(forked)) == (0, 0), (trials[1].folder / "log.txt").read_text()
    assert [(trial.folder / "log.txt").read_text() for trial in trials] == ["", ""]
    assert outcome(trials[1].folder) == outcome(trials[0].folder)
    assert [event["epoch"] for event in told if event.get("phase") == "epoch"] == [0]


@pytest.mark.slow
def test_a_forked_process_finds_what_a_fresh_one_finds(
    tmp_path: Path, warm_pool: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", warm_pool.python_path)
    trial = of(tmp_path)
    (trial.folder / "result.json").write_text(json.dumps(whole_result()))  # it has nothing to do
    found = []
    for pool in (Pool(print), warm_pool(), warm_pool()):
        slot = Slot(device=f"GPU-{len(found)}", threads=2)
        attempt = Attempt(trial, slot, print, pool)
        assert code_of(attempt) == 0, (trial.folder / "log.txt").read_text()
        found.append(json.loads((trial.folder / "process.json").read_text()))
        assert found[-1]["environment"].pop("CUDA_VISIBLE_DEVICES") == slot.device
        found[-1]["environment"].pop("PYTEST_CURRENT_TEST")
    random = [process.pop("random") for process in found]
    assert found[1] == found[0]
    assert all(first != second for first, second in zip(random[1], random[2], strict=True))


@pytest.mark.slow
def test_a_crash_takes_neither_a_sibling_nor_the_pool_down_and_siblings_share_no_file(
    tmp_path: Path, warm_pool: Warm
) -> None:
    trials = [of(tmp_path / name, train__epochs=epochs) for name, epochs in (("a", 200), ("b", 6), ("c", 1))]
    (crashing, _), (sibling, _) = (begin(trial, warm_pool()) for trial in trials[:2])
    first, second = (
        {os.readlink(path) for path in Path(f"/proc/{pid_of(trial)}/fd").iterdir()} for trial in trials[:2]
    )
    pipes = {name for name in first & second if name.startswith(("pipe:", "socket:")) or "log.txt" in name}
    of_this_process = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    assert pipes <= of_this_process - {os.readlink(f"/proc/self/fd/{sibling._alive}")}
    os.kill(pid_of(trials[0]), signal.SIGSEGV)
    assert code_of(crashing) == -signal.SIGSEGV
    failure = store.read_json(trials[0].folder / "failure.json")
    assert failure is not None
    assert failure["reason"] == "the process was ended by SIGSEGV"
    third, _ = begin(trials[2], warm_pool.pool)
    assert is_forked(third)
    assert (code_of(sibling), code_of(third)) == (0, 0)


@pytest.mark.slow
def test_a_forked_trial_outlives_its_pool_and_the_next_one_is_fresh(tmp_path: Path, warm_pool: Warm) -> None:
    trial, later = of(tmp_path / "a", train__epochs=6), of(tmp_path / "b")
    running, _ = begin(trial, warm_pool())
    process = warm_pool.pool._process
    assert process is not None
    assert pid_of(trial) != process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert warm_pool.pool.start(later.folder, {}, (0, 1, 2)) is None
    assert [said.partition(";")[0] for said in warm_pool.warnings] == ["no warm pool: its process has ended"]
    running.ask_to_leave(at_once=False)
    assert code_of(running) == 75
    assert store.state(trial.folder) == "unfinished"


def test_a_pool_that_has_imported_other_code_forks_nothing(tmp_path: Path) -> None:
    warnings: list[str] = []
    pool = Pool(warnings.append)
    pool.ready, pool.code = True, {"segsuite/old.py": 1}
    assert pool.start(tmp_path, {}, (0, 1, 2)) is None
    (said,) = warnings
    assert said.startswith("no warm pool: the code of segsuite has changed since this run began")


def test_what_a_pool_imports_leaves_nothing_that_the_first_child_would_take_down() -> None:
    # timm imports wandb, whose temporary folder went with the first trial: those that followed lost their images.
    code = "import sys, segsuite.trial.nursery as pool\nprint(pool.what_a_fork_would_break(), 'wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(SLOT), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (" False\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import tempfile\nkept = tempfile.TemporaryDirectory('-kept')\n", r"a library made \S+-kept when"),
        ("import tempfile\nkept = tempfile.NamedTemporaryFile(suffix='-kept')\n", r"a library made \S+-kept when"),
        ("import wandb\n", "wandb is imported already"),
    ],
    ids=["folder", "file", "wandb"],
)
def test_a_pool_whose_temporary_files_the_first_child_would_delete_is_refused(
    tmp_path: Path, code: str, said: str
) -> None:
    assert re.match(rf"no warm pool: {said}", refusal(tmp_path, code))


@pytest.mark.slow
def test_a_pool_in_which_a_thread_would_be_lost_is_refused(tmp_path: Path) -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    assert refusal(tmp_path, thread) == "no warm pool: a library started 1 threads when it was imported"


def test_a_pool_that_dies_while_it_imports_is_survived(tmp_path: Path) -> None:
    assert refusal(tmp_path, "import os; os._exit(3)") == "no warm pool: its process ended while it imported"


def refusal(tmp_path: Path, code: str) -> str:
    """What is warned of when every process of the pool runs `code` first."""
    warnings: list[str] = []
    pool = Pool(warnings.append)
    pool.open(environment(SLOT) | {"PYTHONPATH": customised(tmp_path / "customised", code)})
    wait_for(lambda: not pool.warming(), "the pool")
    assert pool.start(tmp_path, {}, (0, 1, 2)) is None
    (said,) = warnings
    return said.partition(";")[0]


def test_every_source_file_counts_as_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    for name in ("__init__.py", "part/one.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(warm.segsuite, "__file__", str(tmp_path / "__init__.py"))
    before = warm.code_state()
    assert warm.code_state() == before
    os.utime(tmp_path / "part" / "one.py", ns=(1, 1))
    after = warm.code_state()
    assert {path for path in before if before[path] != after[path]} == {str(tmp_path / "part" / "one.py")}
    (tmp_path / "part" / "two.py").write_text("")
    assert warm.code_state() != after


@pytest.mark.slow
def test_trials_and_pool_leave_promptly_when_their_launcher_is_killed(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, seeds=[0, 1], train__epochs=200, wandb__mode="disabled")
    trials = trials_of(path)
    launcher = start("segsuite", "run", path, "--workers", "2")
    try:
        pids = {pid_of(trial) for trial in trials}
        children = children_of(launcher.pid)
        assert pids < children
        assert len(children) == 3, "the pool and two trials"
    finally:
        kill(launcher)
    killed = time.monotonic()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "all to leave", 20)
    assert time.monotonic() - killed < 20
    for trial in trials:
        assert store.state(trial.folder) == "unfinished"
        assert not (trial.folder / "claim.json").exists()  # it left by itself: no dead claim stays behind


def children_of(pid: int) -> set[int]:
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


if sys.platform != "linux":
    pytest.skip("a pool is for Linux only", allow_module_level=True)

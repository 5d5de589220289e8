"""`segsuite clean`: what goes, what stays, and that nothing goes without --yes."""

from pathlib import Path

import pytest
import torch

from segsuite.cli import main
from segsuite.io import atomic
from segsuite.io.store import RunDirectory
from segsuite.launch.freeze import freeze
from segsuite.train import checkpoint_io
from tests.reliability.trials import trials_of, write_experiment
from tests.results import whole_result


def checkpoint(path: Path) -> int:
    """As a training leaves it: three numbers for each weight."""
    weights = torch.zeros(30_000)
    state = {"state_dict": {"network.a": weights}, "optimizer_states": [weights + 1, weights + 2], "loops": {}}
    checkpoint_io.save({**state, "global_step": 3}, path)
    return path.stat().st_size


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One finished trial, one that may go on, and one that the YAML no longer has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (gone,) = trials_of(write_experiment(tmp_path, train__epochs=7))
    checkpoint(RunDirectory(freeze(gone)).last_checkpoint)
    (tmp_path / "cache" / "segsuite" / "decoded").mkdir(parents=True)
    (tmp_path / "cache" / "segsuite" / "decoded" / f"{'a1' * 16}.decoded").write_bytes(bytes(1000))
    path = write_experiment(tmp_path, seeds=[0, 1], execution__keep="weights")
    finished, begun = (RunDirectory(freeze(trial)) for trial in trials_of(path))
    for run in (finished, begun):
        checkpoint(run.last_checkpoint)
        atomic.duplicate(run.last_checkpoint, run.best_checkpoint)
    atomic.write_json(finished.folder / "result.json", whole_result())
    return path


def contents(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def test_without_yes_nothing_is_changed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(path.parent)
    assert main(["clean", str(path), "--old", "--caches"]) == 0
    assert contents(path.parent) == before
    assert "nothing was changed, --yes frees it" in capsys.readouterr().out


def test_the_weights_of_a_finished_trial_stay_and_one_that_may_go_on_is_left_alone(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished, begun = (RunDirectory(trial.folder) for trial in trials_of(path))
    untouched = contents(begun.folder)
    assert main(["clean", str(path), "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "freed 0.2 MB"
    for kept in (finished.last_checkpoint, finished.best_checkpoint):
        assert checkpoint_io.load(kept).keys() == {"state_dict", "global_step"}
    assert contents(begun.folder) == untouched
    assert main(["clean", str(path), "--yes"]) == 0
    assert capsys.readouterr().out == "nothing to free\n"


def test_old_trials_and_caches_go_where_it_is_wished(path: Path, tmp_path: Path) -> None:
    known = {trial.folder for trial in trials_of(path)}
    (gone,) = {folder.parent for folder in path.parent.glob("runs/*/*/trial.yaml")} - known
    assert main(["clean", str(path), "--old", "--caches", "--yes"]) == 0
    assert not list(gone.glob("checkpoints/*"))
    assert (gone / "trial.yaml").exists()
    assert not (tmp_path / "cache" / "segsuite" / "decoded" / f"{'a1' * 16}.decoded").exists()


def test_what_is_to_be_kept_is_kept(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", str(path), "--set", "execution.keep=all", "--yes"]) == 0
    assert capsys.readouterr().out == "nothing to free\n"

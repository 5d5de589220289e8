"""A training that is continued with more threads to be had goes on with those it began with, to the same bits."""

from pathlib import Path

import pytest

from segsuite.io import store
from tests.reliability.trials import end_after_step, environment, frozen, outcome, segsuite, write_experiment

pytestmark = pytest.mark.slow


def test_a_continued_training_keeps_its_threads_and_its_bits(tmp_path: Path) -> None:
    whole, stopped = (write_experiment(tmp_path / name, execution__threads=None) for name in ("a", "b"))
    assert segsuite("run", whole, env=environment()).returncode == 0
    end_after_step(frozen(stopped), 10)  # with one thread
    continued = segsuite("run", stopped, env=environment(OMP_NUM_THREADS="2"))
    assert continued.returncode == 0, continued.stderr
    assert "continues with the 1 CPU thread it began with, of 2" in continued.stdout
    assert outcome(frozen(stopped)) == outcome(frozen(whole))
    manifest = store.read_json(frozen(stopped) / "manifest.json")
    assert manifest is not None
    assert manifest["hardware"]["threads"] == 1

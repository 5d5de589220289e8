"""segsuite.trial.recorded: what makes a trial fail is recorded, unless the run directory is another's by then."""

import json
from pathlib import Path

import pytest

from segsuite.errors import SegsuiteError
from segsuite.io import atomic, claims
from segsuite.io.store import RunDirectory
from segsuite.train.callbacks import StopRequest
from segsuite.train.distributed import ALONE
from segsuite.trial import recorded
from segsuite.trial.frozen import read
from tests.reliability.trials import frozen, write_experiment


@pytest.mark.parametrize("is_lost", [True, False])
def test_what_fails_after_another_process_has_taken_over_is_not_recorded(is_lost: bool, tmp_path: Path) -> None:
    """Stopped in the middle of a write: whoever has taken over has removed the temporary file as a dead writer's."""
    folder = frozen(write_experiment(tmp_path))
    holder = json.dumps({"host": "elsewhere", "pid": 7})
    trial = read(folder)

    def fail(held: claims.Claim) -> None:
        with recorded(trial, RunDirectory(folder, held), StopRequest(), ALONE):
            if is_lost:
                atomic.write_text(folder / "claim.json", holder)
            raise SegsuiteError("cannot write: No such file or directory")

    with claims.claim(folder) as held, pytest.raises(SegsuiteError) as caught:
        fail(held)
    assert (folder / "failure.json").exists() != is_lost
    assert isinstance(caught.value, claims.ClaimLost) == is_lost
    if is_lost:
        assert caught.value.what == "another process has taken over this trial: process 7 on elsewhere"
        assert (folder / "claim.json").read_text() == holder

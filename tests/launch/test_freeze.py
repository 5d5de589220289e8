"""Freezing thousands of trials writes what freezing one does."""

from pathlib import Path

import pytest

from segsuite import yaml_io
from segsuite.errors import SegsuiteError
from segsuite.experiment import Trial, load
from segsuite.launch.freeze import freeze, freeze_all
from segsuite.trial import frozen
from tests.reliability.trials import write_experiment


@pytest.fixture
def trials(tmp_path: Path) -> tuple[Trial, ...]:
    arms = {"train.optimizer.learning_rate": [1e-3, 2e-3], "augment": [{"crop": [32, 32]}, {"crop": [16, 32]}]}
    return load(write_experiment(tmp_path, compare=arms, seeds=[0, 7])).trials


def test_all_trials_are_read_back_as_they_were(trials: tuple[Trial, ...]) -> None:
    freeze_all(trials)
    for trial in trials:
        found = frozen.read(trial.folder)
        assert (found.id, found.arm, found.seed, found.settings) == (trial.id, trial.arm, trial.seed, trial.settings)
        assert found.differences == yaml_io.read_value(yaml_io.to_text(trial.differences))


def test_the_text_is_that_of_the_whole_record(trials: tuple[Trial, ...]) -> None:
    freeze_all(trials)
    for trial in trials:
        record = {"id": trial.id, "experiment": "tiny", "arm": trial.arm, "seed": trial.seed}
        record |= {"differences": trial.differences, "settings": trial.settings.model_dump(mode="json")}
        text = (trial.folder / "trial.yaml").read_text()
        assert text == yaml_io.to_text(record)
        assert (freeze(trial) / "trial.yaml").read_text() == text


def test_a_disk_that_refuses_one_is_told(trials: tuple[Trial, ...]) -> None:
    trials[0].folder.parent.mkdir(parents=True)
    trials[3].folder.write_text("")
    with pytest.raises(SegsuiteError, match="cannot write") as caught:
        freeze_all(trials)
    assert caught.value.where.startswith(str(trials[3].folder))

"""Which process of a trial this is, and settings that several processes cannot share."""

from pathlib import Path
from typing import Any

import pytest

from segsuite.config import Execution, TrialSettings, validate
from segsuite.errors import ConfigError
from segsuite.trial.data import build_data, check_shares
from segsuite.trial.ranks import is_rank

TWO_NODES = Execution(nodes=2, devices=2)
SLURM = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4", "MASTER_ADDR": "n1", "MASTER_PORT": "29500"}
TRIAL: dict[str, Any] = {
    "data": {"name": "shapes", "train_images": 8, "val_images": 4},
    "model": {"name": "unet", "encoder": "mobilenetv3_small_100"},
}


def settings(**changes: dict[str, Any]) -> TrialSettings:
    return validate({**TRIAL, **changes}, lambda path: ".".join(map(str, path)))


def test_a_trial_of_one_process_asks_nothing_of_the_environment() -> None:
    assert is_rank(Execution(), {"RANK": "1", "WORLD_SIZE": "2", **SLURM})


def test_the_ranks_of_one_machine_are_started_by_the_first_process() -> None:
    assert not is_rank(Execution(devices=2), {})


def test_a_task_of_srun_is_the_rank_of_its_number() -> None:
    environment = dict(SLURM)
    assert is_rank(TWO_NODES, environment)
    assert (environment["RANK"], environment["LOCAL_RANK"], environment["WORLD_SIZE"]) == ("3", "1", "4")


def test_the_only_task_of_srun_starts_its_ranks_itself() -> None:
    assert not is_rank(Execution(devices=4), {**SLURM, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"})


def test_the_tasks_of_a_step_count_and_not_those_of_the_job() -> None:
    assert not is_rank(Execution(devices=2), {**SLURM, "SLURM_STEP_NUM_TASKS": "1"})


@pytest.mark.parametrize("environment", [{**SLURM, "SLURM_NTASKS": "3"}, {"RANK": "0", "WORLD_SIZE": "3"}])
def test_another_number_of_processes_than_the_settings_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"nodes x execution\.devices is 2 x 2, but 3 processes"):
        is_rank(TWO_NODES, environment)


def test_ranks_that_do_not_know_where_to_meet_are_refused() -> None:
    with pytest.raises(ConfigError, match="MASTER_ADDR"):
        is_rank(TWO_NODES, {key: value for key, value in SLURM.items() if key != "MASTER_ADDR"})


def test_several_machines_without_a_cluster_are_refused() -> None:
    with pytest.raises(ConfigError, match="one machine"):
        is_rank(TWO_NODES, {})


def test_a_batch_that_processes_cannot_share_evenly_is_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigError, match="batch_size is 6, which 1 x 4 processes"):
        settings(train={"batch_size": 6}, execution={"devices": 4})


@pytest.mark.parametrize(
    "changes",
    [
        {"execution": {"device": "cpu", "strategy": "fsdp"}},
        {"execution": {"strategy": "fsdp"}, "train": {"ema_decay": 0.9}},
        {"execution": {"strategy": "fsdp"}, "train": {"freeze_encoder_epochs": 1}},
        {"execution": {"strategy": "fsdp"}, "checkerboard": {"measure": True}},
        {"execution": {"device": "mps", "devices": 2}},
    ],
)
def test_what_a_strategy_or_device_cannot_do_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"execution\.(strategy|device)"):
        settings(**changes)


def test_a_split_without_an_image_for_each_process_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 images are validated on, fewer than 4 processes"):
        check_shares(watched=3, world=4)


def test_the_scored_split_is_never_shared(tmp_path: Path) -> None:
    from segsuite.train.distributed import Ranks

    data = build_data(settings(), Ranks(rank=1, world=2))
    assert (len(list(data.validation.sampler)), len(list(data.scored.sampler))) == (2, 4)


def test_learning_rates_follow_the_effective_batch_when_a_reference_is_given() -> None:
    train = settings(
        train={"batch_size": 16, "accumulate": 2, "optimizer": {"name": "sgd", "reference_batch_size": 8}}
    ).train
    assert train.learning_rate_factor == 4
    assert settings().train.learning_rate_factor == 1

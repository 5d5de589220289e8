"""`resources` of a profile: trials that want other nodes than the rest, and several profiles in one submission."""

import json
import re
from pathlib import Path

import pytest

from segsuite.errors import ConfigError
from segsuite.experiment import load
from segsuite.launch.slurm import estimate, reconcile
from segsuite.launch.slurm.profile import Profile, read_profile
from tests.reliability.trials import write_experiment
from tests.results import whole_result

WIDE = "train.optimizer.learning_rate"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reconcile, "largest_array", lambda: 100)
    monkeypatch.setattr(reconcile, "live_tasks", lambda *_: [])
    return write_experiment(tmp_path, compare={WIDE: [1e-3, 2e-3, 3e-3]}, seeds=[0, 1])


def arrays(path: Path, profile: Profile) -> list[list[str]]:
    """The options of each array."""
    commands = reconcile.submit(load(path), profile, [], dry_run=True).commands[:-1]
    return [
        [word for word in words if re.match(r"--(array|partition|mem|gres|time|nice)=", word)] for words in commands
    ]


def test_an_arm_has_resources_of_its_own(path: Path) -> None:
    profile = Profile(
        partition="small", mem="8G", options={"nice": 5},
        resources=({"match": {WIDE: 3e-3}, "partition": "big", "mem": "128G"},),
    )  # fmt: skip
    assert arrays(path, profile) == [
        ["--array=0-3", "--partition=small", "--mem=8G", "--time=04:00:00", "--nice=5"],
        ["--array=0-1", "--partition=big", "--mem=128G", "--time=04:00:00", "--nice=5"],
    ]


def test_later_entries_count_lists_are_any_of_and_arms_and_seeds_match_too(path: Path) -> None:
    experiment = load(path)
    profile = Profile(
        resources=(
            {"match": {WIDE: [2e-3, 3e-3]}, "mem": "16G", "partition": "big"},
            {"match": {"arm": experiment.arms[2], "seed": 1}, "mem": 64000},
        )
    )
    found = {(trial.arm, trial.seed): profile.of(trial) for trial in experiment.trials}
    one, two, three = experiment.arms
    assert found[one, 1] is profile
    assert (found[two, 1].mem, found[two, 1].partition) == ("16G", "big")
    assert (found[three, 0].mem, found[three, 1].mem, found[three, 1].partition) == ("16G", "64000", "big")


def test_several_profiles_are_one_submission(path: Path, tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text('partition: big\ngpus_per_node: "a100:4"\npython: /big/python\ntime: 600\n')
    (tmp_path / "site.yaml").write_text(
        f"partition: small\nmem: 8G\nresources:\n- match: {{{WIDE}: 0.003}}\n"
        f"  profile: {tmp_path}/big.yaml\n  time: 900\n"
    )
    _, profile = read_profile(str(tmp_path / "site.yaml"))
    assert arrays(path, profile) == [
        ["--array=0-3", "--partition=small", "--mem=8G", "--time=04:00:00"],
        ["--array=0-1", "--partition=big", "--time=900"],
    ]
    commands = reconcile.submit(load(path), profile, [], dry_run=True).commands
    assert ["/big/python" in words for words in commands] == [False, True, False]


def test_gpu_hours_are_those_of_each_trials_own_nodes(path: Path) -> None:
    experiment = load(path)
    trial = experiment.trials[0]
    trial.folder.mkdir(parents=True)
    (trial.folder / "result.json").write_text(json.dumps(whole_result(cost={"attempt_seconds": 3600})))
    profile = Profile(gpus_per_node=1, resources=({"match": {WIDE: 3e-3}, "gpus_per_node": 4},))
    assert estimate.cost(experiment, experiment.trials, profile).gpu_hours == 4 + 2 * 4


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{partition: big}", "resources.0: match: write settings and their values"),
        ("{match: {modle.encoder: a}, mem: 1G}", "resources.0: match.modle.encoder: unknown setting 'modle'"),
        ("{match: {model.encodr: a}, mem: 1G}", "unknown setting 'model.encodr'; did you mean 'model.encoder'?"),
        ("{match: {model.encoder.a: a}, mem: 1G}", "match.model.encoder.a: model.encoder holds no settings"),
        ("{match: {arm: a}, partition: [a]}", 'resources.0: partition must be text, not ["a"]'),
        ("{match: {arm: a}, cpus: x}", "resources.0: cpus must be a whole number, not the text 'x'"),
        ("{match: {arm: a}, memory: 1G}", "resources.0: unknown key 'memory'"),
        ("{match: {arm: a}, mem: 1.5G}", "resources.0: mem: "),
        ("{match: {arm: a}, throttle: 3}", "resources.0: unknown key 'throttle'"),
        ("{match: {arm: a}, options: {wrap: x}}", "resources.0: options.wrap: the suite sets this"),
    ],
)
def test_what_is_wrong_in_an_entry_is_told_with_its_line(entry: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(f"cpus: 1\nresources:\n- {entry}\n")
    with pytest.raises(ConfigError) as caught:
        read_profile(str(tmp_path / "site.yaml"))
    assert said in caught.value.what
    assert caught.value.where.endswith("site.yaml:3")

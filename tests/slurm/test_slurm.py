"""segsuite.launch.slurm without a cluster: profiles, tables, listings, and names that must not execute."""

import subprocess
from pathlib import Path

import pytest

from segsuite.errors import ConfigError, SegsuiteError
from segsuite.experiment import load
from segsuite.io import atomic, store
from segsuite.launch.freeze import freeze
from segsuite.launch.slurm import command, reconcile
from segsuite.launch.slurm.arrays import Code, Layout, Place, array_command
from segsuite.launch.slurm.profile import Profile, read_profile
from segsuite.launch.slurm.queue import Task
from segsuite.launch.slurm.reconcile import difference, submit
from tests.reliability.trials import REPOSITORY, segsuite, write_experiment
from tests.results import whole_result

HOSTILE = ["a\nb", "a b", "$(touch x)", "`touch x`", "a;b", "-p", "a'b", 'a"b', "a\\b", "a>b", ""]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("key", ["partition", "account", "qos", "constraint", "gres", "python", "mem", "time"])
def test_a_profile_takes_only_plain_words(key: str, value: str, tmp_path: Path) -> None:
    from segsuite import yaml_io

    path = tmp_path / "site.yaml"
    path.write_text(yaml_io.to_text({key: value}))
    with pytest.raises(ConfigError, match=key) as caught:
        read_profile(str(path))
    assert caught.value.where.startswith(f"{path}:1")


def test_an_unknown_option_of_sbatch_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("options: {wrap: rm}\n")
    with pytest.raises(ConfigError, match=r"options\.wrap"):
        read_profile(str(path))


def test_a_misspelt_key_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("cpus: 2\npartitoin: gpu\n")
    with pytest.raises(ConfigError, match="partition") as caught:
        read_profile(str(path))
    assert caught.value.where == f"{path}:2"


def test_a_time_that_leaves_none_to_start_in_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text('time: "00:04:00"\n')
    with pytest.raises(ConfigError, match="two minutes more"):
        read_profile(str(path))


def test_profiles_are_found_by_name_by_the_environment_and_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGSUITE_SLURM_PROFILE", raising=False)
    assert read_profile(None) == ("none", Profile())
    folder = tmp_path / "slurm" / "profiles"
    folder.mkdir(parents=True)
    for name in ("default", "alps"):
        (folder / f"{name}.yaml").write_text(f"partition: {name}\n")
    assert read_profile(None)[1].partition == "default"
    assert read_profile("alps")[1].partition == "alps"
    monkeypatch.setenv("SEGSUITE_SLURM_PROFILE", "alps")
    assert read_profile(None)[0] == "alps"
    with pytest.raises(ConfigError, match="alps"):
        read_profile("alsp")


def test_the_example_profile_is_valid() -> None:
    assert read_profile("slurm/profiles/example.yaml")[1].gpus_per_node == 1


@pytest.mark.parametrize("name", ["a\\ntouch x", "a b", "../up"])
def test_an_experiment_whose_name_could_execute_is_refused(name: str, tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    path.write_text(path.read_text().replace("name: tiny", f'name: "{name}"'))
    ran = segsuite("run", path, "--on", "slurm", "--dry-run")
    assert ran.returncode == 2
    assert "is not a plain name" in ran.stderr


def test_without_slurm_it_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no program sbatch"):
        command.call(["sbatch"])


def test_what_a_program_says_when_it_refuses_is_told() -> None:
    with pytest.raises(SegsuiteError, match=r"sh refused: no such partition"):
        command.call(["sh", "-c", "echo 'no such  partition' >&2; exit 1"])


def test_a_table_is_made_once_and_read_back(tmp_path: Path) -> None:
    place = Place(tmp_path)
    first, second = place.new_table([["a"], ["b", "c"]]), place.new_table([["d"]])
    assert (first, second) == (1, 2)
    task = Task("9", 1, place.job_name(first, "x"), "RUNNING", "", "n1")
    assert place.trials_of(task) == ("b", "c")
    assert place.trials_of(Task("9", 2, place.job_name(first, "x"), "RUNNING", "", "n1")) == ()
    assert place.trials_of(Task("9", -1, f"{place.job_prefix}report-x", "PENDING", "", "")) == ()


def test_two_folders_of_one_name_have_different_jobs(tmp_path: Path) -> None:
    assert Place(tmp_path / "a").job_prefix != Place(tmp_path / "b").job_prefix


def test_the_command_is_words_and_holds_what_the_profile_says(tmp_path: Path) -> None:
    profile = Profile(
        partition="gpu", gres="gpu:a100:1", cpus=2, mem="8G", throttle=7, attempts=3, pack=3,
        modules=("cuda/12",), container=("apptainer", "exec", "a.sif"), options={"nice": 5},
    )  # fmt: skip
    code = Code(tmp_path / "code", "/usr/bin/python3", tmp_path / "work")
    assert array_command(Place(tmp_path), "job", "4", 7, profile, code, Layout(nodes=1, devices=1, pack=3)) == [
        "sbatch", "--parsable", "--job-name=job", "--array=0-6%2", f"--output={tmp_path}/slurm/logs/%A_%a.log",
        f"--chdir={tmp_path}/work", "--open-mode=append", "--requeue", "--nodes=1", "--ntasks-per-node=3",
        "--partition=gpu", "--gres=gpu:a100:1", "--cpus-per-task=2", "--mem=8G", "--time=04:00:00",
        "--signal=USR1@180", "--nice=5",
        f"{tmp_path}/code/slurm/trial.sbatch", str(tmp_path), "4", f"{tmp_path}/code", "/usr/bin/python3",
        f"{tmp_path}/work", "3", "1", "--module", "cuda/12", "--", "apptainer", "exec", "a.sif",
    ]  # fmt: skip


def test_a_trial_of_several_devices_has_a_task_for_each(tmp_path: Path) -> None:
    words = array_command(
        Place(tmp_path), "job", "4", 1, Profile(), Code(tmp_path, "python"), Layout(nodes=2, devices=4)
    )
    assert {"--nodes=2", "--ntasks-per-node=4"} <= set(words)
    assert words[-2:] == ["4", "--"]  # what trial.sbatch starts on each node


def test_the_difference_is_read_from_run_directories_and_then_from_the_queue(tmp_path: Path) -> None:
    experiment = load(write_experiment(tmp_path, seeds=[0, 1, 2, 3, 4]))
    finished, failed, waits, runs, new = experiment.trials
    atomic.write_json(freeze(finished) / "result.json", whole_result())
    store.record_failure(freeze(failed), "Died", "x")
    atomic.write_text(experiment.folder / "0123456789ab" / "trial.yaml", "")
    place = Place.of(experiment)
    number = place.new_table([[finished.id], [waits.id], [runs.id]])
    name = place.job_name(number, "tiny")
    tasks = [Task("7", at, name, state, "", "") for at, state in enumerate(("PENDING", "PENDING", "RUNNING"))]
    found = difference(experiment, tasks)
    assert (found.finished, found.queued, found.running) == ([finished], [waits], [runs])
    assert (found.retry, found.new, found.missing) == ([failed], [new], [failed, new])
    assert found.obsolete == ["0123456789ab"]
    assert found.words() == (
        "1 finished, 1 running, 1 queued, 1 to retry, 1 new, 1 obsolete (in the folder, not in the experiment)"
    )


def test_what_failed_in_a_job_that_goes_on_with_others_is_to_be_submitted(tmp_path: Path) -> None:
    experiment = load(write_experiment(tmp_path, seeds=[0, 1]))
    failed, runs = experiment.trials
    place = Place.of(experiment)
    name = place.job_name(place.new_table([[failed.id, runs.id]]), "tiny")
    store.record_failure(freeze(failed), "Died", "x")
    found = difference(experiment, [Task("7", 0, name, "RUNNING", "", "")])
    assert (found.running, found.missing) == ([failed, runs], [])  # it has another attempt
    (failed.folder / "attempts.jsonl").write_text(
        '{"job":"7_0","restart":0,"node":"n1","end":3,"code":1,"over":true}\n'
    )
    found = difference(experiment, [Task("7", 0, name, "RUNNING", "", "")])
    assert (found.running, found.retry, found.missing) == ([runs], [failed], [failed])


def test_trials_of_equal_devices_share_arrays_and_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "largest_array", lambda: 2)
    monkeypatch.setattr(reconcile, "live_tasks", lambda *_: [])
    path = write_experiment(tmp_path, seeds=[0, 1, 2, 3, 4], execution__devices=2)
    alone = reconcile.submit(load(path), Profile(), [], dry_run=True)
    assert [command[3] for command in alone.commands[:-1]] == ["--array=0-1", "--array=0-1", "--array=0-0"]
    assert all("--ntasks-per-node=2" in command for command in alone.commands[:-1])
    path = write_experiment(tmp_path, seeds=[0, 1, 2, 3, 4])
    packed = reconcile.submit(load(path), Profile(pack=2), [], dry_run=True)
    assert [command[3] for command in packed.commands[:-1]] == ["--array=0-1", "--array=0-0"]


@pytest.mark.parametrize(
    ("settings", "profile", "message"),
    [
        ({"execution__devices": 2}, Profile(pack=2), "pack: 2"),
        ({"execution__devices": 2, "execution__device": "cuda"}, Profile(gpus_per_node=1), "asks for 1 GPU"),
    ],
)
def test_devices_that_do_not_fit_the_profile_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], profile: Profile, message: str
) -> None:
    monkeypatch.setattr(reconcile, "live_tasks", lambda *_: [])
    with pytest.raises(ConfigError, match=message):
        reconcile.submit(load(write_experiment(tmp_path, **settings)), profile, [], dry_run=True)


def test_every_array_runs_the_same_script(tmp_path: Path) -> None:
    code = Code(REPOSITORY, "python")
    plain = array_command(Place(tmp_path), "a", "1", 1, Profile(), code, Layout())
    profile = Profile(partition="gpu", container=("run",), pack=4)
    other = array_command(Place(tmp_path / "x"), "b", "2", 9, profile, code, Layout(pack=4))
    script = str(REPOSITORY / "slurm" / "trial.sbatch")
    assert [words.count(script) for words in (plain, other)] == [1, 1]


@pytest.mark.parametrize("word", HOSTILE)
def test_the_script_hands_on_each_word_as_it_is(word: str, tmp_path: Path) -> None:
    place, trial = Place(tmp_path / "an experiment"), "0123456789ab"
    place.new_table([[trial]])
    place.logs.mkdir()
    (place.folder / trial).mkdir()
    srun = tmp_path / "programs" / "srun"
    srun.parent.mkdir()
    srun.write_text(
        f'#!/bin/bash\nprintf \'%s\\0\' "$@" >\'{tmp_path}/words\'\ntouch "${{@: -3:1}}" "${{@: -1}}/result.json"\n'
    )
    srun.chmod(0o755)
    environment = {
        "PATH": f"{srun.parent}:/usr/bin:/bin", "SLURM_ARRAY_JOB_ID": "1", "SLURM_ARRAY_TASK_ID": "0",
        "SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "1",
    }  # fmt: skip
    words = [str(place.folder), "1", str(REPOSITORY), "python", str(tmp_path), "10", "1", "--", "exec", word]
    script = REPOSITORY / "slurm" / "trial.sbatch"
    done = subprocess.run(["bash", script, *words], env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    found = (tmp_path / "words").read_text().split("\0")[:-1]
    run = str(place.folder / trial)
    begun = ["-P", str(REPOSITORY / "segsuite/launch/slurm/begun.py"), f"{run}/begun", "segsuite.trial", run]
    assert found[-9:] == ["exec", word, "python", "-u", *begun]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["an experiment", "programs", "words"]


def test_ten_thousand_trials_are_at_most_twenty_calls_of_sbatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "live_tasks", lambda *_: [])
    monkeypatch.setattr(reconcile, "largest_array", lambda: 1001)
    experiment = load(write_experiment(tmp_path, seeds=list(range(10_000))))
    found = submit(experiment, Profile(), ["report"], dry_run=True)
    arrays = [word for words in found.commands for word in words if word.startswith("--array")]
    assert arrays == ["--array=0-1000"] * 9 + ["--array=0-990"]
    assert len(found.commands) == 11

"""segsuite.launch.slurm without a cluster: profiles, tables, listings, snapshots, and names that must not execute."""

import subprocess
from pathlib import Path

import pytest

from segsuite.errors import ConfigError, SegsuiteError
from segsuite.experiment import load
from segsuite.io import atomic, store
from segsuite.launch.freeze import freeze
from segsuite.launch.slurm import command, queue, snapshot
from segsuite.launch.slurm.arrays import Code, Place, array_command
from segsuite.launch.slurm.profile import Profile, read_profile
from segsuite.launch.slurm.queue import Task
from segsuite.launch.slurm.reconcile import difference
from tests.reliability.trials import segsuite, write_experiment

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


def test_a_listing_of_squeue_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "\n".join(
        [
            "114_2|segsuite-1-7-x|RUNNING|n3|None",
            "114_3|segsuite-1-7-x|PENDING||Resources",
            "115|segsuite-1-report-x|PENDING||Dependency",
            "116_0|segsuite-1-8-x|CANCELLED by 0|n1|a|b",
            "117_0|other|RUNNING|n1|None",
            "118_0|segsuite-1-9-x|SOMETHING_NEW||None",
        ]
    )
    monkeypatch.setattr(queue, "call", lambda words: listing)
    found = queue.live_tasks("segsuite-1-")
    assert [(task.id, task.state, task.is_running) for task in found] == [
        ("114_2", "RUNNING", True),
        ("114_3", "PENDING", False),
        ("115", "PENDING", False),
        ("118_0", "SOMETHING_NEW", False),
    ]


def test_a_table_is_made_once_and_read_back(tmp_path: Path) -> None:
    place = Place(tmp_path)
    first, second = place.new_table(["a", "b"]), place.new_table(["c"])
    assert (first, second) == (1, 2)
    task = Task("9", 1, place.job_name(first, "x"), "RUNNING", "", "n1")
    assert place.trial_of(task) == "b"
    assert place.trial_of(Task("9", 2, place.job_name(first, "x"), "RUNNING", "", "n1")) is None
    assert place.trial_of(Task("9", -1, f"{place.job_prefix}report-x", "PENDING", "", "")) is None


def test_two_folders_of_one_name_have_different_jobs(tmp_path: Path) -> None:
    assert Place(tmp_path / "a").job_prefix != Place(tmp_path / "b").job_prefix


def test_the_command_is_words_and_holds_what_the_profile_says(tmp_path: Path) -> None:
    profile = Profile(partition="gpu", gres="gpu:a100:1", throttle=3, modules=("cuda/12",), options={"nice": 5})
    words = array_command(Place(tmp_path), "job", "4", 7, profile, Code(tmp_path / "code", "/usr/bin/python3"))
    assert words[:4] == ["sbatch", "--parsable", "--job-name=job", "--array=0-6%3"]
    script = words.index(str(tmp_path / "code/slurm/trial.sbatch"))
    options, arguments = words[4:script], words[script + 1 :]
    for option in ("--partition=gpu", "--gres=gpu:a100:1", "--nice=5", "--signal=USR1@180", "--requeue"):
        assert option in options
    assert arguments == [
        *(str(tmp_path), "4", str(tmp_path / "code"), "/usr/bin/python3", "10", "--module", "cuda/12", "--")
    ]


def test_the_difference_is_read_from_run_directories_and_then_from_the_queue(tmp_path: Path) -> None:
    experiment = load(write_experiment(tmp_path, seeds=[0, 1, 2, 3, 4]))
    finished, failed, waits, runs, new = experiment.trials
    atomic.write_json(freeze(finished) / "result.json", {})
    store.record_failure(freeze(failed), "Died", "x")
    atomic.write_text(experiment.folder / "0123456789ab" / "trial.yaml", "")
    place = Place.of(experiment)
    number = place.new_table([finished.id, waits.id, runs.id])
    name = place.job_name(number, "tiny")
    tasks = [Task("7", at, name, state, "", "") for at, state in enumerate(("PENDING", "PENDING", "RUNNING"))]
    found = difference(experiment, tasks)
    assert (found.finished, found.queued, found.running) == ([finished], [waits], [runs])
    assert (found.retry, found.new, found.missing) == ([failed], [new], [failed, new])
    assert found.obsolete == ["0123456789ab"]
    assert found.words() == (
        "1 finished, 1 running, 1 queued, 1 to retry, 1 new, 1 obsolete (in the folder, not in the experiment)"
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "test")
    (folder / ".gitignore").write_text("runs/\n")
    (folder / "a.py").write_text("one\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", folder, *words], check=True)
    monkeypatch.setattr(snapshot, "CHECKOUT", folder)
    return folder


def test_a_snapshot_has_edits_and_new_files_and_not_what_git_ignores(repository: Path) -> None:
    (repository / "a.py").write_text("two\n")
    (repository / "b.py").write_text("new\n")
    (repository / "runs").mkdir()
    (repository / "runs" / "big").write_text("x")
    made = snapshot.snapshot(repository / "runs" / "code")
    assert sorted(path.name for path in made.iterdir()) == [".gitignore", "a.py", "b.py"]
    assert (made / "a.py").read_text() == "two\n"
    status = subprocess.run(["git", "-C", repository, "status", "--short"], capture_output=True, text=True, check=True)
    assert status.stdout == " M a.py\n?? b.py\n"


def test_a_snapshot_is_made_once_for_each_state(repository: Path) -> None:
    folder = repository / "runs" / "code"
    first = snapshot.snapshot(folder)
    assert snapshot.snapshot(folder) == first
    (repository / "a.py").write_text("two\n")
    second = snapshot.snapshot(folder)
    assert second != first
    assert (first / "a.py").read_text() == "one\n"
    assert sorted(folder.iterdir()) == sorted([first, second])


def test_an_installed_package_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "CHECKOUT", tmp_path)
    assert snapshot.snapshot(tmp_path / "code") == tmp_path

"""segsuite.io.manifest: where a result came from, and no secret."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from segsuite.io import manifest
from segsuite.launch.causes import read_attempts

CANARY = "canary-7f3a9c"


def described() -> dict[str, object]:
    return manifest.describe("abcd", {"device": "cpu"}, {"w.safetensors": "00"})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit, a package and a remote whose address holds a token."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    (tmp_path / "segsuite" / "io").mkdir(parents=True)
    (tmp_path / "segsuite" / "io" / "manifest.py").write_text("x = 1\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for command in (
        ["init", "-q"],
        ["remote", "add", "origin", f"https://user:{CANARY}@example.org/a.git"],
        ["add", "."],
        ["commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True)
    return tmp_path


def head(root: Path) -> str:
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def code_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setattr(manifest, "__file__", str(root / "segsuite" / "io" / "manifest.py"))
    return manifest.code()


def test_the_manifest_is_json_and_names_code_packages_machine_and_data() -> None:
    found = json.loads(json.dumps(described(), allow_nan=False))
    assert found["packages"]["torch"]
    assert found["dataset_fingerprint"] == "abcd"
    assert found["weights"] == {"w.safetensors": "00"}
    assert len(found["code"]["sources_sha256"]) == 16


def test_nothing_of_the_environment_is_written_but_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "AWS_SECRET", "AWS_SECRET_ACCESS_KEY", "SLURM_TOKEN", "HF_TOKEN"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    found = described()
    assert CANARY not in json.dumps(found)
    assert found["environment"]["SLURM_JOB_ID"] == "4711"  # type: ignore[index]


def test_the_commit_is_found_without_the_address_of_the_remote(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = code_of(repository, monkeypatch)
    assert code["commit"] == head(repository)
    assert CANARY not in json.dumps(code)


def test_the_commit_is_found_among_packed_references_and_in_a_worktree(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("worktrees") / "other"
    subprocess.run(["git", "pack-refs", "--all"], cwd=repository, check=True)
    assert code_of(repository, monkeypatch)["commit"] == head(repository)
    subprocess.run(["git", "worktree", "add", "-q", "-b", "other", str(other)], cwd=repository, check=True)
    assert code_of(other, monkeypatch)["commit"] == head(repository)


def test_a_copy_of_the_code_tells_the_commit_that_it_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "snapshot.json").write_text('{"commit": "0123", "dirty": true}')
    code = code_of(tmp_path, monkeypatch)
    assert (code["commit"], code["dirty"]) == ("0123", True)


def test_no_repository_means_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_of(tmp_path, monkeypatch)["commit"] is None


def test_the_hash_of_the_sources_sees_an_uncommitted_change(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_of(repository, monkeypatch)
    (repository / "segsuite" / "io" / "manifest.py").write_text("x = 2\n")
    after = code_of(repository, monkeypatch)
    assert before["commit"] == after["commit"]
    assert before["sources_sha256"] != after["sources_sha256"]


def test_a_checkout_tells_whether_files_of_the_package_differ_from_the_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "experiment.yaml").write_text("name: mine\n")  # is no code
    assert code_of(repository, monkeypatch)["dirty"] is False
    (repository / "segsuite" / "new.py").write_text("x = 1\n")
    assert code_of(repository, monkeypatch)["dirty"] is True
    (repository / "segsuite" / "new.py").unlink()
    (repository / "segsuite" / "io" / "manifest.py").write_text("x = 2\n")
    assert code_of(repository, monkeypatch)["dirty"] is True


def test_a_hook_that_names_another_repository_changes_nothing(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("other")))
    assert code_of(repository, monkeypatch)["dirty"] is False


def test_without_git_it_is_not_known_whether_files_differ(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    code = code_of(repository, monkeypatch)
    assert code["dirty"] is None
    assert code["commit"]


def test_every_package_that_the_project_needs_is_recorded() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=~! ]", requirement)[0].lower() for requirement in project["dependencies"]}
    assert needed <= set(manifest.PACKAGES)


def test_every_attempt_has_a_line_and_the_last_one_a_file(tmp_path: Path) -> None:
    for host in ("a", "b", "c"):
        manifest.add(tmp_path, {"host": host, "nan": float("nan")}, continues=host != "a")
    assert [record["host"] for record in manifest.attempts(tmp_path)] == ["a", "b", "c"]
    assert json.loads((tmp_path / "manifest.json").read_text())["host"] == "c"


def test_the_manifest_of_an_earlier_version_is_the_first_line(tmp_path: Path) -> None:
    earlier = {"host": "old", "code": {"commit": "0123", "dirty": None}}
    (tmp_path / "manifest.json").write_text(json.dumps(earlier))
    assert manifest.attempts(tmp_path) == [earlier]
    manifest.add(tmp_path, {"host": "new"}, continues=True)
    assert [record["host"] for record in manifest.attempts(tmp_path)] == ["old", "new"]


def test_what_a_batch_script_notes_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "attempts.jsonl").write_text('{"job": "7_0", "restart": 0, "begin": 1000}\n')
    manifest.add(tmp_path, {"host": "a"}, continues=False)
    assert manifest.attempts(tmp_path) == [{"host": "a", "continues": False}]
    assert read_attempts(tmp_path) == [{"job": "7_0", "restart": 0, "begin": 1000}]


def test_half_a_line_of_a_killed_writer_costs_no_other_line(tmp_path: Path) -> None:
    manifest.add(tmp_path, {"host": "a"}, continues=False)
    with open(tmp_path / manifest.ATTEMPTS, "ab") as file:
        file.write(b'{"host": "b\xff')
    manifest.add(tmp_path, {"host": "c"}, continues=True)
    assert [record["host"] for record in manifest.attempts(tmp_path)] == ["a", "c"]


@pytest.mark.parametrize(
    ("continues", "kept"), [([False, True, True], 3), ([False, True, False, True], 2), ([None, True], 2), ([], 0)]
)
def test_the_attempts_of_a_result_are_those_since_the_last_beginning(continues: list[bool], kept: int) -> None:
    records = [{"continues": one} for one in continues]
    assert len(manifest.of_result(records)) == kept

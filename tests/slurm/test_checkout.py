"""segsuite.launch.slurm.checkout: which files are copied, which are refused, and which never leave the checkout."""

from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.errors import ConfigError
from segsuite.io import atomic
from segsuite.launch.slurm import estimate, reconcile
from segsuite.launch.slurm.checkout import code_of, is_secret
from tests.reliability.trials import REPOSITORY, trials_of, write_experiment
from tests.results import whole_result
from tests.slurm.checkouts import files, git, made


def test_nothing_of_the_repository_changes(repository: Path) -> None:
    (repository / "segsuite" / "a.py").write_text("two\n")
    (repository / ".env").write_text("KEY=secret\n")

    def look() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (repository / ".git").rglob("*") if path.is_file()}

    before = look()
    made(repository, "copy")
    assert look() == before  # the secret became an object of the repository


def test_files_that_git_does_not_track_are_refused_by_name_unless_asked_for(repository: Path) -> None:
    (repository / "experiments").mkdir()
    for name in ("segsuite/table.json", "experiments/mine.yaml", "experiments/plot.py", "mine.py"):
        (repository / name).write_text("x\n")
    with pytest.raises(ConfigError) as caught:
        made(repository)
    assert "git does not track 2 files that may be part of it: mine.py, segsuite/table.json" in caught.value.what
    for way in ("git add FILE", ".gitignore", "--untracked copy", "--untracked leave-out"):
        assert way in caught.value.advice
    assert not (repository / "runs").exists()
    tracked = [".gitignore", "run.sh", "segsuite/a.py", "snapshot.json"]
    assert files(made(repository, "leave-out")) == tracked
    new = ["experiments/mine.yaml", "experiments/plot.py", "mine.py", "segsuite/table.json"]
    assert files(made(repository, "copy")) == sorted([*tracked, *new])
    git(repository, "add", "mine.py", "segsuite")
    assert files(made(repository)) == sorted([*tracked, *new[2:]])
    assert code_of(repository).notes() == [
        "note: not in the copy of the code, since git does not track them: experiments/mine.yaml, experiments/plot.py"
    ]


def test_secrets_are_never_copied(repository: Path) -> None:
    (repository / ".ssh").mkdir()
    secrets = [".env", ".env.local", "deploy.pem", "segsuite/Credentials-prod.json", ".ssh/config", "id_rsa"]
    for name in secrets:
        (repository / name).write_text("KEY=secret\n")
        (repository / name).chmod(0o600)
    git(repository, "add", "deploy.pem")  # nor one that is tracked
    copied = made(repository, "copy")
    assert files(copied) == [".gitignore", "run.sh", "segsuite/a.py", "snapshot.json"]
    (note,) = code_of(repository).notes()
    assert note == (
        "note: not in the copy of the code, since they are named as secrets are: "
        ".env, .env.local, .ssh/config, deploy.pem, id_rsa, ... (6 in all)"
    )


def test_no_file_of_this_repository_is_taken_for_a_secret() -> None:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("no checkout")
    assert [path for path in git(REPOSITORY, "ls-files", "-z").split("\0") if is_secret(path)] == []


def test_without_git_a_checkout_is_not_run_live_without_a_word(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="git is missing") as caught:
        made(repository)
    assert "--live-code" in caught.value.advice


def test_run_on_slurm_names_what_would_be_missing_before_anything_is_submitted(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(reconcile, "live_tasks", lambda *place: [])
    monkeypatch.setattr(reconcile, "largest_array", lambda: 1001)
    monkeypatch.setattr(reconcile, "call", lambda words: calls.append(words[0]) or "7")
    monkeypatch.setattr(estimate, "call", lambda words, **options: "")
    path = write_experiment(tmp_path / "e", data__train_images=2, data__val_images=1)
    (repository / "segsuite" / "mine.py").write_text("x = 1\n")
    (repository / ".env").write_text("KEY=secret\n")
    words = ["run", str(path), "--on", "slurm"]
    for more in ([], ["--dry-run"]):
        assert main([*words, *more]) == 2
        assert "git does not track 1 file that may be part of it: segsuite/mine.py" in capsys.readouterr().err
    assert calls == []
    assert main([*words, "--untracked", "copy"]) == 0
    assert "since they are named as secrets are: .env" in capsys.readouterr().out
    assert calls == ["sbatch", "sbatch"]
    (copied,) = (path.parent / "runs" / "tiny" / "slurm" / "code").iterdir()
    assert files(copied) == [".gitignore", "run.sh", "segsuite/a.py", "segsuite/mine.py", "snapshot.json"]
    (trial,) = trials_of(path)
    atomic.write_json(trial.folder / "result.json", whole_result())
    assert main(words) == 0  # nothing is to be submitted, so nothing is asked

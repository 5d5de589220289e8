"""segsuite.launch.slurm.snapshot: who can change a copy of the code, and that a changed one is not used."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from segsuite.errors import ConfigError, SegsuiteError
from segsuite.io import store
from segsuite.launch.slurm import snapshot
from tests.slurm.checkouts import files, git, made


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


def test_a_snapshot_has_edits_and_not_what_git_ignores(repository: Path) -> None:
    (repository / "segsuite" / "a.py").write_text("two\n")
    (repository / "segsuite" / "b.py").write_text("new\n")
    git(repository, "add", "segsuite/b.py")
    (repository / "link").symlink_to("segsuite/a.py")
    git(repository, "add", "link")
    (repository / "runs").mkdir()
    (repository / "runs" / "big").write_text("x")
    copied = made(repository)
    assert files(copied) == [".gitignore", "link", "run.sh", "segsuite/a.py", "segsuite/b.py", "snapshot.json"]
    assert (copied / "segsuite" / "a.py").read_text() == "two\n"
    assert os.readlink(copied / "link") == "segsuite/a.py"


def test_a_snapshot_is_made_once_for_each_state(repository: Path) -> None:
    first = made(repository)
    assert made(repository) == first
    (repository / "segsuite" / "a.py").write_text("two\n")
    second = made(repository)
    assert second != first
    assert (first / "segsuite" / "a.py").read_text() == "one\n"
    (repository / "run.sh").chmod(0o644)
    third = made(repository)
    assert sorted((repository / "runs" / "code").iterdir()) == sorted([first, second, third])


def test_a_snapshot_knows_its_commit_and_whether_files_differ_from_it(repository: Path) -> None:
    def recorded(untracked: str | None = None) -> dict[str, object] | None:
        return store.read_json(made(repository, untracked) / "snapshot.json")

    first = git(repository, "rev-parse", "HEAD").strip()
    assert recorded() == {"commit": first, "dirty": False}
    (repository / "new.py").write_text("x\n")
    assert recorded("leave-out") == {"commit": first, "dirty": False}
    assert recorded("copy") == {"commit": first, "dirty": True}
    git(repository, "add", ".")
    assert recorded() == {"commit": first, "dirty": True}
    git(repository, "commit", "-qm", "second")
    assert recorded() == {"commit": git(repository, "rev-parse", "HEAD").strip(), "dirty": False}


def test_an_installed_package_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "CHECKOUT", tmp_path)
    assert snapshot.snapshot(tmp_path / "code") == tmp_path


@pytest.mark.parametrize(("mask", "file", "program", "folder"), [
    (0o022, 0o444, 0o555, 0o755), (0o002, 0o444, 0o555, 0o755), (0o077, 0o400, 0o500, 0o700), (0, 0o444, 0o555, 0o755),
])  # fmt: skip
def test_only_its_owner_can_change_a_snapshot_whatever_the_umask(
    mask: int, file: int, program: int, folder: int, repository: Path, umask: Callable[[int], int]
) -> None:
    (repository / "segsuite").chmod(0o775)
    (repository / "segsuite" / "a.py").chmod(0o666)
    umask(mask)
    copied = made(repository)
    found = {path.relative_to(copied).as_posix(): path.stat().st_mode & 0o7777 for path in copied.rglob("*")}
    assert found["segsuite/a.py"] == found["snapshot.json"] == file
    assert found["run.sh"] == program
    assert found["segsuite"] == found["segsuite/__pycache__"] == folder
    assert [name for name, mode in found.items() if mode & 0o022] == []
    assert copied.stat().st_mode & 0o7777 == folder


def test_what_nobody_else_can_read_in_the_checkout_nobody_else_can_read_in_the_snapshot(
    repository: Path, umask: Callable[[int], int]
) -> None:
    umask(0o022)
    (repository / "segsuite").chmod(0o700)
    (repository / "run.sh").chmod(0o700)
    copied = made(repository)
    assert (copied / "segsuite").stat().st_mode & 0o7777 == 0o700
    assert (copied / "run.sh").stat().st_mode & 0o7777 == 0o500


def test_bytecode_that_a_job_writes_is_its_owners_alone_whatever_the_umask_of_the_job(
    repository: Path, umask: Callable[[int], int]
) -> None:
    (repository / "segsuite" / "a.py").write_text("x = 1\n")
    copied = made(repository)
    umask(0)
    subprocess.run([sys.executable, "-c", "import segsuite.a"], env={"PYTHONPATH": str(copied)}, cwd="/", check=True)
    written = [path for path in copied.rglob("*") if "__pycache__" in path.parts]
    assert any(path.suffix == ".pyc" for path in written)
    assert [path for path in written if path.stat().st_mode & 0o022] == []
    assert made(repository) == copied


def append(path: Path) -> None:
    path.chmod(0o600)
    path.write_text(path.read_text() + "import evil\n")


TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda code: append(code / "segsuite" / "a.py"), "segsuite/a.py was changed"),
    "added": (lambda code: (code / "statistics.py").write_text(""), "statistics.py was added"),
    "bytecode in the place of a module": (lambda code: (code / "evil.pyc").write_bytes(b""), "evil.pyc was added"),
    "missing": (lambda code: (code / "run.sh").unlink(), "run.sh is missing"),
    "no program": (lambda code: (code / "run.sh").chmod(0o444), "run.sh was changed"),
    "link": (lambda code: relink(code / "segsuite" / "a.py"), "segsuite/a.py was changed"),
    "facts": (lambda code: append(code / "snapshot.json"), "snapshot.json was changed"),
    "rights": (lambda code: (code / "segsuite").chmod(0o775), "segsuite can be changed by others"),
    "bytecode": (lambda code: writable(code / "segsuite" / "__pycache__" / "a.cpython-311.pyc"), ".pyc can be changed"),
}


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to(shutil.which("true") or "/bin/true")


def writable(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0o664)


@pytest.mark.parametrize("kind", TAMPERING)
def test_a_snapshot_that_is_not_what_was_copied_is_not_used_again(kind: str, repository: Path) -> None:
    tamper, said = TAMPERING[kind]
    copied = made(repository)
    tamper(copied)
    with pytest.raises(SegsuiteError) as caught:
        made(repository)
    assert said in caught.value.what
    assert caught.value.where == str(copied)
    shutil.rmtree(copied)
    assert made(repository) == copied


def test_a_snapshot_of_another_user_is_not_used(repository: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    copied = made(repository)
    for path in (copied, *copied.rglob("*")):
        os.chown(path, 65534, -1, follow_symlinks=False)
    own = made(repository)
    assert own != copied
    assert own.stat().st_uid == os.getuid()
    assert made(repository) == own
    os.chown(own / "run.sh", 65534, -1)
    with pytest.raises(SegsuiteError, match=r"run\.sh is another user's"):
        made(repository)


def test_a_member_of_the_group_cannot_change_what_queued_jobs_run(
    repository: Path, tmp_path: Path, umask: Callable[[int], int]
) -> None:
    setpriv = shutil.which("setpriv")
    if os.getuid() != 0 or setpriv is None:
        pytest.skip("needs root and setpriv")
    umask(0o002)
    copied = made(repository)
    for path in (tmp_path, *tmp_path.parents):
        if path.is_relative_to(tempfile.gettempdir()) and path != Path(tempfile.gettempdir()):
            path.chmod(path.stat().st_mode | 0o011)
    gid = copied.stat().st_gid
    tries = "echo evil >>a.py; rm -f a.py; echo evil >b.py; echo evil >__pycache__/a.cpython-311.pyc; cat a.py"
    words = [setpriv, "--reuid=65534", f"--regid={gid}", "--clear-groups", "sh", "-c", tries]
    done = subprocess.run(words, cwd=copied / "segsuite", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "one\n"), done.stderr
    assert made(repository) == copied


def test_a_folder_that_python_cannot_take_code_from_is_refused(repository: Path) -> None:
    with pytest.raises(ConfigError, match="with ':' in its name"):
        snapshot.snapshot(repository / "runs" / "12:30" / "code")

"""slurm/local-cluster lies where only its user can write, and removes nothing else."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.slurm.cluster import LOCAL

MARK = ".segsuite-local-cluster"


def call(script: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("CLUSTER_DIR", "SLURM_CONF")}
    return subprocess.run(
        [LOCAL / script, *words], env=environment | variables, capture_output=True, text=True, check=False
    )


def test_purge_leaves_what_it_has_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    for name in ("run", "log", "state"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.txt").write_text("mine")
    (folder / "spool").symlink_to(tmp_path / "elsewhere")
    (folder / "slurm.conf").write_text("")
    (folder / MARK).write_text("")
    (folder / "notes.txt").write_text("mine")
    done = call("down", "--purge", CLUSTER_DIR=str(folder))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert (tmp_path / "elsewhere" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("script", ["up", "down"])
def test_a_folder_of_other_things_is_refused(script: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "log").mkdir()
    done = call(script, "--purge", CLUSTER_DIR=str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path} holds other things than a cluster of `up`" in done.stderr
    assert (tmp_path / "log").exists()


@pytest.mark.parametrize("script", ["up", "down"])
def test_a_folder_that_another_user_could_have_made_is_refused(script: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    planted = tmp_path / "planted"
    planted.symlink_to(tmp_path / "own")
    done = call(script, CLUSTER_DIR=str(planted))
    assert done.returncode == 2
    assert f"{planted} is not a folder of yours" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    note = tmp_path / "segsuite-cluster"
    note.mkdir()
    (note / "folder").write_text(str(tmp_path / "theirs"))
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    done = call("down", "--purge", XDG_RUNTIME_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "is not a folder of yours" in done.stderr
    os.chown(note, 65534, 65534)
    assert call("down", XDG_RUNTIME_DIR=str(tmp_path)).returncode == 2

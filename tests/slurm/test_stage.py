"""Data staged to a node's own disk: once, and only what was submitted."""

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from segsuite.errors import ConfigError
from segsuite.launch.causes import cause
from segsuite.launch.slurm.profile import read_profile
from tests.slurm.scripts import Node, attempt_lines


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return pack(tmp_path, "one")


def pack(folder: Path, content: str) -> Path:
    (folder / "camvid").mkdir(exist_ok=True)
    (folder / "camvid" / "a.txt").write_text(content)
    with tarfile.open(folder / "data.tar.gz", "w:gz") as packed:
        packed.add(folder / "camvid", "camvid")
    return folder / "data.tar.gz"


def test_trials_find_the_data_on_the_nodes_disk_which_unpacks_them_once(archive: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "e", {"stage": {"archive": str(archive), "to": "$LOCAL/data"}}, trials=2)
    table = node.table()
    assert node.run(table, 0, LOCAL=str(tmp_path / "disk")) == 0, node.log()
    staged = Path(node.environment(node.trials[0])["SEGSUITE_STAGED"])
    assert staged.parent == tmp_path / "disk" / "data"
    assert (staged / "camvid" / "a.txt").read_text() == "one"
    before = (staged / "camvid" / "a.txt").stat()
    assert node.run(table, 1, LOCAL=str(tmp_path / "disk")) == 0
    assert Path(node.environment(node.trials[1])["SEGSUITE_STAGED"]) == staged
    assert (staged / "camvid" / "a.txt").stat().st_ino == before.st_ino  # not unpacked again


@pytest.mark.parametrize("kind", ["changed", "added", "removed"])
def test_data_on_the_nodes_disk_that_are_not_what_was_unpacked_are_refused(
    kind: str, archive: Path, tmp_path: Path
) -> None:
    node = Node(tmp_path / "e", {"stage": {"archive": str(archive), "to": str(tmp_path / "disk")}}, trials=2)
    table = node.table()
    assert node.run(table, 0) == 0, node.log()
    staged = Path(node.environment(node.trials[0])["SEGSUITE_STAGED"])
    image = staged / "camvid" / "a.txt"
    change = {
        "changed": lambda: image.write_text("two"),
        "added": lambda: image.with_name("b.txt").touch(),
        "removed": image.unlink,
    }
    change[kind]()
    assert node.run(table, 1) == 1
    found = cause(node.trials[1].folder)
    assert f"stage: {staged} is not what was unpacked: look at who made it, and remove it on node" in found.reason


def test_only_its_owner_sees_what_is_unpacked_whatever_the_archive_says(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "camvid" / "a.txt").chmod(0o666)
    pack(tmp_path, "one")
    node = Node(tmp_path / "e", {"stage": {"archive": str(archive), "to": str(tmp_path / "disk")}})
    assert node.run(node.table()) == 0, node.log()
    staged = Path(node.environment(node.trials[0])["SEGSUITE_STAGED"])
    assert staged.stat().st_mode & 0o777 == 0o700
    assert (staged / "camvid" / "a.txt").stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("suffix", ["", ".lock"])
def test_a_name_that_somebody_else_has_made_on_a_shared_disk_is_not_followed(
    suffix: str, archive: Path, tmp_path: Path
) -> None:
    node = Node(tmp_path / "e", {"stage": {"archive": str(archive), "to": str(tmp_path / "disk")}})
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    name = tmp_path / "disk" / f"segsuite-{os.getuid()}-{digest[:20]}{suffix}"
    name.parent.mkdir()
    mine = tmp_path / "mine"
    if suffix:
        mine.write_text("precious")
    else:
        mine.mkdir()
        (mine / ".complete").touch()
    name.symlink_to(mine)
    assert node.run(node.table()) == 1
    assert f"stage: {name} is not a file or folder of" in cause(node.trials[0].folder).reason
    assert not suffix or mine.read_text() == "precious"


def test_jobs_that_begin_together_unpack_once(archive: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "e", {"stage": {"archive": str(archive), "to": str(tmp_path / "disk")}}, trials=3)
    table = node.table()
    running = [node.start(table, index) for index in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len([path for path in (tmp_path / "disk").iterdir() if path.is_dir()]) == 1


def test_an_archive_that_has_changed_since_the_submission_is_refused(archive: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "e", {"stage": {"archive": str(archive), "to": str(tmp_path / "disk")}})
    table = node.table()
    words = node.command(table, node.code)
    pack(tmp_path, "two, and longer")
    done = subprocess.run(["bash", *words], env=node.variables(0, 7), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "data.tar.gz is not what it was at submission" in done.stderr
    assert attempt_lines(node.trials[0])[-1]["code"] == 1


def test_a_variable_that_the_node_does_not_have_is_named(archive: Path, tmp_path: Path) -> None:
    node = Node(tmp_path / "e", {"stage": {"archive": str(archive), "to": "$NO_SUCH_DISK"}})
    assert node.run(node.table()) == 1
    found = cause(node.trials[0].folder)
    assert "stage: the variable NO_SUCH_DISK is not set on node" in found.reason
    assert "`stage` of the profile" in found.advice


def test_a_changed_archive_has_another_digest_and_none_is_an_error(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(f"stage: {{archive: {archive}}}\n")
    _, profile = read_profile(str(tmp_path / "site.yaml"))
    assert profile.stage is not None
    first = profile.stage.words()
    assert profile.stage.words() == first
    assert first[2] == "$TMPDIR"
    pack(tmp_path, "two, and longer")
    assert profile.stage.words()[1] != first[1]
    os.remove(archive)
    with pytest.raises(ConfigError, match="the archive cannot be read"):
        profile.stage.words()


def test_a_relative_place_on_a_node_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("stage: {archive: /a.tar, to: here}\n")
    with pytest.raises(ConfigError, match=r"stage\.to: must be an absolute path, .* not the text 'here'"):
        read_profile(str(tmp_path / "site.yaml"))

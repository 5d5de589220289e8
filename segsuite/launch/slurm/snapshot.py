"""The code as it is at submission, beside the runs: an edit afterwards changes nothing of a trial that waits."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import segsuite
from segsuite.errors import SegsuiteError
from segsuite.io import atomic
from segsuite.io.manifest import SNAPSHOT

CHECKOUT = Path(segsuite.__file__).resolve().parents[1]


def snapshot(folder: Path) -> Path:
    """The folder that trials take their code from: `folder`/TREE-COMMIT, a copy of this checkout with every tracked
    and every new file that git does not ignore, and snapshot.json, which manifests read: the commit, and whether files
    differ from it. It is made once for each state, and nothing of the repository changes.

    An installed package that is no checkout stays where it is: it is returned itself.
    """
    if not (CHECKOUT / ".git").exists() or shutil.which("git") is None:
        return CHECKOUT
    with tempfile.TemporaryDirectory() as temporary:
        # An index of our own: the person's staged changes stay as they are.
        environment = {**os.environ, "GIT_INDEX_FILE": str(Path(temporary) / "index")}
        _git(["read-tree", "HEAD"], environment)
        _git(["add", "--all", "."], environment)
        tree = _git(["write-tree"], environment).strip()
        commit, committed = _git(["rev-parse", "HEAD", "HEAD^{tree}"], environment).split()
        target = folder / f"{tree[:12]}-{commit[:12]}"
        if not target.exists():
            atomic.make_folder(folder)
            archive = Path(temporary) / "code.tar"
            _git(["archive", f"--output={archive}", tree], environment)
            unpacked = Path(tempfile.mkdtemp(dir=folder, prefix=".unpacking-"))
            shutil.unpack_archive(archive, unpacked)
            atomic.write_json(unpacked / SNAPSHOT, {"commit": commit, "dirty": tree != committed})
            unpacked.chmod(0o755)
            atomic.put_in_place(unpacked, target)
    return target


def _git(words: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        raise SegsuiteError(
            f"git {words[0]} refused: {' '.join(done.stderr.split())[:500]}",
            str(CHECKOUT),
            "mend the repository, or submit with --live-code",
        )
    return done.stdout

"""What git knows of the folder that code runs from."""

import os
import re
import subprocess
from pathlib import Path

SECONDS = 10.0
"""How long git may take to look at the files, which may lie on a slow file system."""
QUIET = ("--no-optional-locks", "-c", "core.fsmonitor=false")
"""Writes nothing into the repository, not even to speed up the next look, and starts no other program."""


def commit(root: Path) -> str | None:
    """The checked-out commit, read from git's files: git itself may be missing on a compute node."""
    git = root / ".git"
    try:
        if git.is_file():  # a worktree
            git = (root / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        reference = head.removeprefix("ref:").strip()
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        if (common / reference).exists():
            return (common / reference).read_text().strip()
        packed = re.search(
            rf"^([0-9a-f]{{40}}) {re.escape(reference)}$", (common / "packed-refs").read_text(), re.MULTILINE
        )
        return packed[1] if packed else None
    except OSError:
        return None


def differs(root: Path, folder: str) -> bool | None:
    """Whether files of `folder` in the checkout `root` differ from its commit, or are new there; None where `root` is
    no checkout, or git is missing or does not answer."""
    if not (root / ".git").exists():
        return None
    # Variables such as GIT_DIR, which a hook sets, name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    words = ["git", *QUIET, "-C", str(root), "status", "--porcelain", "--untracked-files=normal", "--", folder]
    try:
        done = subprocess.run(
            words, capture_output=True, stdin=subprocess.DEVNULL, env=environment, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return bool(done.stdout.strip()) if done.returncode == 0 else None

"""A small repository that stands in for the checkout whose code is copied."""

import subprocess
from pathlib import Path

from segsuite.launch.slurm import snapshot


def git(repository: Path, *words: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test")
    done = subprocess.run(["git", *identity, "-C", repository, *words], capture_output=True, text=True, check=True)
    return done.stdout


def small_repository(folder: Path) -> Path:
    (folder / "segsuite").mkdir(parents=True)
    (folder / ".gitignore").write_text("runs/\n")
    (folder / "segsuite" / "a.py").write_text("one\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def made(repository: Path, untracked: str | None = None) -> Path:
    return snapshot.snapshot(repository / "runs" / "code", untracked)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())

"""Which files of a checkout are its code: what git tracks, as it is on the disk, without secrets."""

import fnmatch
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segsuite.errors import ConfigError, SegsuiteError, plural

SECRETS = (
    ".env", ".env.*", ".netrc", ".pgpass", ".pypirc", ".npmrc", ".git-credentials", "*.pem", "*.key", "*.p12", "*.pfx",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "credentials*.json", "secrets.*",
)  # fmt: skip
"""Names of files that are never copied, tracked or not, whatever their case."""
SECRET_FOLDERS = (".ssh", ".aws", ".gnupg", ".kube")
CODE_FOLDERS = ("segsuite/", "slurm/")
CODE_SUFFIXES = (".py", ".so")
NO_JOBS_CODE = ("tests/", "benchmarks/", "docs/", "experiments/", "data/")
"""Folders of the repository that nothing in CODE_FOLDERS imports from."""
UNTRACKED = ("copy", "leave-out")
SHOWN = 5


@dataclass(frozen=True)
class Code:
    """The files of a checkout that are its code, and what else lies there; paths from its root, sorted."""

    commit: str
    """40 hex digits."""
    dirty: bool
    """Whether `files` differ from the commit."""
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    """Untracked, and no code; or left out by wish."""
    secrets: tuple[str, ...]

    def notes(self) -> list[str]:
        """A line for people of each kind of file that is left out."""
        kinds = (
            (self.left_out, "since git does not track them"),
            (self.secrets, "since they are named as secrets are"),
        )
        return [
            f"note: not in the copy of the code, {why}: {_listed(paths)}" for paths, why in kinds if paths
        ]  # fmt: skip


def code_of(root: Path, untracked: str | None = None) -> Code:
    """Looks at the checkout in `root`. Files that git neither tracks nor ignores are taken in (`untracked`: copy), left
    out (leave-out), or, if they may be code, refused (None).

    Only reads: neither the index nor the objects of the repository change. Raises ConfigError for what is refused and
    where git cannot be asked.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD").strip()
    tracked = _paths(root, "--cached")
    others = _paths(root, "--others", "--exclude-standard")
    secrets = [path for path in (*tracked, *others) if is_secret(path)]
    others = [path for path in others if not is_secret(path)]
    unsure = [path for path in others if _may_be_code(path)]
    if unsure and untracked not in UNTRACKED:
        raise ConfigError(
            f"jobs run a copy of the code, and git does not track {plural(len(unsure), 'file')} that may be part of "
            f"it: {_listed(unsure)}",
            str(root),
            "`git add FILE` takes a file in (it need not be committed), a line in .gitignore leaves it out for good; "
            "or call this with --untracked copy, which takes in all files, or with --untracked leave-out",
        )
    taken = others if untracked == "copy" else []
    files = [path for path in (*tracked, *taken) if not is_secret(path) and _is_file(root / path)]
    changed = bool(_git(root, "status", "--porcelain", "-z", "--untracked-files=no"))
    left_out = [path for path in others if path not in set(files)]
    return Code(commit, changed or bool(taken), *(tuple(sorted(paths)) for paths in (files, left_out, secrets)))


def is_secret(path: str) -> bool:
    """Whether a file's name is one that holds keys or passwords by custom.

    >>> [is_secret(path) for path in ("a/.env", ".ENV.local", "tls/site.pem", ".ssh/config", "environment.py")]
    [True, True, True, True, False]
    """
    *folders, name = path.lower().split("/")
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in SECRETS) or any(at in SECRET_FOLDERS for at in folders)


def _may_be_code(path: str) -> bool:
    return path.startswith(CODE_FOLDERS) or (path.endswith(CODE_SUFFIXES) and not path.startswith(NO_JOBS_CODE))


def _is_file(path: Path) -> bool:
    # Not there: deleted, and that not yet told to git. A folder: another repository within this one.
    return path.is_symlink() or path.is_file()


def _listed(paths: Sequence[str]) -> str:
    more = f", ... ({len(paths)} in all)" if len(paths) > SHOWN else ""
    return f"{', '.join(paths[:SHOWN])}{more}"


def _paths(root: Path, *options: str) -> list[str]:
    return sorted({path for path in _git(root, "ls-files", "-z", *options).split("\0") if path})


def _git(root: Path, *words: str) -> str:
    if shutil.which("git") is None:
        raise ConfigError(
            "git is missing, which knows what the code is that jobs are to run", str(root),
            "install git, or submit with --live-code",
        )  # fmt: skip
    # Another git process of this person may be at work: no lock of the index is taken.
    words = ("git", "--no-optional-locks", "-C", str(root), *words)
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode != 0:
        said = " ".join(os.fsdecode(done.stderr).split())[:500]
        raise SegsuiteError(f"git {words[4]} refused: {said}", str(root), "mend the repository, or use --live-code")
    return os.fsdecode(done.stdout)

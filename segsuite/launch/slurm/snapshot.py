"""The code as it is at submission, beside the runs: an edit afterwards changes nothing of a trial that waits.

docs/decisions/0022-snapshots.md says what it holds, and why.
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

from segsuite.errors import ConfigError, SegsuiteError, plural
from segsuite.io import atomic
from segsuite.io.manifest import SNAPSHOT
from segsuite.launch.slurm.checkout import Code, code_of
from segsuite.launch.slurm.command import CHECKOUT

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
READ_ONLY, FOLDERS = 0o555, 0o755
"""The most rights that files and folders of a snapshot have; the source and the umask may leave less."""
THREADS = 16
BYTECODE = "__pycache__"


def code(untracked: str | None = None) -> Code | None:
    """What a snapshot would hold; None for an installed package that is no checkout. See `checkout.code_of`."""
    return code_of(CHECKOUT, untracked) if (CHECKOUT / ".git").exists() else None


def snapshot(folder: Path, untracked: str | None = None) -> Path:
    """The folder that trials take their code from: `folder`/CONTENT-COMMIT, a copy of the files that `code` names, and
    snapshot.json, which manifests read: the commit, and whether files differ from it. It is made once for each state,
    is on the disk when this returns, and is compared with the checkout file by file whenever it is used again.

    An installed package that is no checkout stays where it is: it is returned itself. Raises SegsuiteError when a
    snapshot is not what it was.
    """
    found = code(untracked)
    if found is None:
        return CHECKOUT
    if os.pathsep in str(folder):
        advice = "choose another with --set runs_root=FOLDER, or submit with --live-code"
        raise ConfigError(f"Python cannot take code from a folder with {os.pathsep!r} in its name", str(folder), advice)
    facts = json.dumps({"commit": found.commit, "dirty": found.dirty}, indent=1) + "\n"
    states = {path: state(CHECKOUT / path) for path in found.files}
    content = json.dumps([facts, sorted(states.items())]).encode()
    states[SNAPSHOT] = f"- {hashlib.sha256(facts.encode()).hexdigest()}"
    name = f"{hashlib.sha256(content).hexdigest()[:12]}-{found.commit[:12]}"
    atomic.make_folder(folder)
    with _new_folder(folder) as own:
        target = folder / name
        if target.exists() and target.stat().st_uid != own.stat().st_uid:
            target = folder / f"{name}-{os.getuid()}"  # whose owner could change what our jobs run
        if not target.exists():
            _copy(states, facts, own / name)
            atomic.put_in_place(own / name, target)
        _check(target, states, own.stat())
    return target


def state(path: Path) -> str:
    """What a file is: x if it can be executed, else -, and the SHA-256 of its content; of a link, where it leads to.
    Raises ConfigError when it cannot be read."""
    try:
        if path.is_symlink():
            return f"-> {os.readlink(path)}"
        with open(path, "rb") as file:
            sign = "x" if os.fstat(file.fileno()).st_mode & stat.S_IXUSR else "-"
            return f"{sign} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        advice = "every file of the code must be readable; or submit with --live-code"
        raise ConfigError(f"a file of the code cannot be read: {error.strerror}", str(path), advice) from error


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder that nobody else can look into."""
    try:
        own = Path(tempfile.mkdtemp(dir=folder, prefix=".unpacking-"))
    except OSError as error:
        advice = "correct its rights, or choose another with --set runs_root=FOLDER"
        raise ConfigError(f"cannot write: {error.strerror}", str(folder), advice) from error
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _copy(states: Mapping[str, str], facts: str, target: Path) -> None:
    """Makes the folder `target`, with the rights that the sources have, the umask leaves and a snapshot may have."""
    for parent in sorted({parent for path in states for parent in Path(path).parents}):
        mode = stat.S_IMODE((CHECKOUT / parent).stat().st_mode) & FOLDERS | stat.S_IRWXU
        (target / parent).mkdir(mode)
        # Jobs may have another umask, and Python takes bytecode for code: whoever can write it decides what runs.
        (target / parent / BYTECODE).mkdir(mode)
    with ThreadPoolExecutor(THREADS) as copiers:  # the disk is waited for after each file
        for _ in copiers.map(lambda path: _copy_one(path, target), set(states) - {SNAPSHOT}):
            pass
    atomic.write_new(target / SNAPSHOT, lambda file: file.write(facts.encode()), READ_ONLY & 0o444)


def _copy_one(path: str, target: Path) -> None:
    source = CHECKOUT / path
    if source.is_symlink():
        os.symlink(os.readlink(source), target / path)
        return
    with open(source, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & READ_ONLY
        atomic.write_new(target / path, partial(_fill, file), mode | stat.S_IRUSR)


def _fill(source: BinaryIO, file: BinaryIO) -> None:
    shutil.copyfileobj(source, file)


def _check(target: Path, states: Mapping[str, str], own: os.stat_result) -> None:
    """Raises SegsuiteError unless `target` holds what `states` says and only its owner, that of `own`, can change it.
    What bytecode jobs have written there is looked at by Python."""
    there = dict(_entries(target))
    rights_hold = not own.st_mode & OTHERS_WRITE  # some file systems give everybody all rights
    wrong = [f"{path} is missing" for path in states if path not in there]
    for path, found in sorted(there.items()):
        is_content = not stat.S_ISDIR(found.st_mode) and BYTECODE not in Path(path).parts
        if found.st_uid != own.st_uid:
            wrong.append(f"{path} is another user's")
        elif rights_hold and found.st_mode & OTHERS_WRITE and not stat.S_ISLNK(found.st_mode):
            wrong.append(f"{path} can be changed by others")
        elif is_content and path not in states:
            wrong.append(f"{path} was added")
        elif is_content and state(target / path) != states[path]:
            wrong.append(f"{path} was changed")
    if wrong:
        more = f" ({plural(len(wrong), 'fault')} in all)" if len(wrong) > 1 else ""
        raise SegsuiteError(
            f"the copy of the code that jobs run is not what was copied: {wrong[0]}{more}",
            str(target),
            "cancel what waits for it (`segsuite cancel E.yaml`), find out who changed it, remove this folder and "
            "submit again",
        )


def _entries(target: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The folder `target` and all that is in it."""
    yield ".", target.lstat()
    for folder, folders, files in os.walk(target):
        for name in (*folders, *files):
            path = Path(folder, name)
            yield path.relative_to(target).as_posix(), path.lstat()

"""What a power cut would leave on the disk: a model of what was forced to it, fed by the calls of this process."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Disk:
    """Knows of each file the content, and of each folder the names, that were last synced; what was there at first is
    on the disk. A name that is given to what is not yet there is a fault: a power cut may leave an empty file."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if not Path("/proc/self/fd").exists():
            pytest.skip("needs /proc, to know what is synced")
        self.root = root
        self.faults: list[str] = []
        self._synced: dict[int, object] = {}
        for path in (root, *root.rglob("*")):
            self._synced[path.lstat().st_ino] = _content(path)
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._sync)
        for name in ("replace", "rename", "link"):
            monkeypatch.setattr(os, name, self._naming(getattr(os, name)))

    def lost(self, folder: Path | None = None) -> list[str]:
        """The paths below `folder` that would be missing, or not have their content, after a power cut now."""
        return list(self._lost(folder or self.root))

    def _lost(self, path: Path) -> Iterator[str]:
        if stat.S_ISLNK(path.lstat().st_mode):
            return  # where it leads to is written with its name
        kept = self._synced.get(path.lstat().st_ino)
        if not path.is_dir():
            if kept != _content(path):
                yield f"{path.relative_to(self.root)}: content"
            return
        names = kept if isinstance(kept, dict) else {}
        for name, inode in sorted(_content(path).items()):  # type: ignore[attr-defined]
            if names.get(name) != inode:
                yield f"{(path / name).relative_to(self.root)}: name"
            yield from self._lost(path / name)

    def _sync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        self._synced[os.fstat(descriptor).st_ino] = _content(path)

    def _naming(self, call: Callable[..., None]) -> Callable[..., None]:
        def checked(source: Any, target: Any, **options: Any) -> None:
            # Another name of the same file may go away: only content counts.
            self.faults += [f"{target} before {lost}" for lost in self._lost(Path(source))]
            call(source, target, **options)

        return checked


def _content(path: Path) -> object:
    """Of a folder its names and what they lead to; of a file its bytes."""
    if path.is_symlink():
        return os.readlink(path)
    if path.is_dir():
        return {entry.name: entry.inode() for entry in os.scandir(path)}
    return path.read_bytes()

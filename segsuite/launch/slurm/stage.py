"""Data on the nodes' own disks: an archive that each node unpacks once, and the trials of its jobs read."""

import contextlib
import hashlib
import os
from pathlib import Path

from pydantic import field_validator

from segsuite.config.base import Settings
from segsuite.errors import ConfigError, SegsuiteError
from segsuite.io import atomic, store
from segsuite.io.paths import expanded
from segsuite.launch.slurm.words import Text

VARIABLE = "SEGSUITE_STAGED"
"""The folder on the node, for `data.root: $SEGSUITE_STAGED/NAME`; on the login node a person sets it."""


class Stage(Settings):
    """An archive of data and the folder of a node that it is unpacked in."""

    archive: Text
    """A .tar, .tar.gz, .tar.zst, ... or .zip on a file system that nodes see."""
    to: Text = "$TMPDIR"
    """A folder of the node's own disk; it may begin with a variable of the node."""

    @field_validator("to")
    @classmethod
    def _on_the_node(cls, to: str) -> str:
        if not to.startswith(("/", "$")):
            raise ValueError("must be an absolute path, or begin with a variable such as $TMPDIR")
        return to

    def words(self) -> tuple[str, str, str]:
        """What slurm/environment.sh is told: the archive, its SHA-256 and the folder. Raises ConfigError without it."""
        archive = expanded(self.archive)
        return str(archive), _digest(archive), self.to


def _digest(archive: Path) -> str:
    """SHA-256 of a file; kept for as long as its size and time of change stay, since an archive is large."""
    try:
        status = archive.stat()
        state = [status.st_size, status.st_mtime_ns]
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segsuite" / "archive-digests"
        kept_in = base / f"{hashlib.sha256(str(archive).encode()).hexdigest()}.json"
        kept = store.read_json(kept_in) or {}
        if kept.get("state") == state:
            return str(kept["sha256"])
        with open(archive, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        advice = "correct `stage` of the profile"
        raise ConfigError(f"the archive cannot be read: {error.strerror}", str(archive), advice) from None
    with contextlib.suppress(SegsuiteError):  # a cache that cannot be written only costs reading again
        atomic.write_json(kept_in, {"state": state, "sha256": found})
    return found

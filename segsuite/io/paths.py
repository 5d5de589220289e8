"""Paths in settings: what `~` and `$NAME` in them mean, and where relative ones begin."""

import os
import re
from pathlib import Path

from segsuite.errors import ConfigError

RELATIVE = "relative paths begin at the folder where the command is called"


def as_written(text: str) -> str:
    """`text` with `~`, `$NAME` and `${NAME}` replaced, and otherwise as it is.

    They are replaced where a path is used, not where it is read: a variable such as $TMPDIR has another value on each
    node of a cluster. Raises ConfigError for a variable that is not set and for a user who is not known.
    """
    found = os.path.expanduser(os.path.expandvars(text))
    unset = re.search(r"\$(\w+|\{[^}]*\})", found)
    if unset is not None and not os.path.exists(found):
        name = unset[1].strip("{}")
        raise ConfigError(
            f"the environment variable {name} is not set",
            f"the path {text}",
            f"set it (export {name}=...), or write the path out",
        )
    if found.startswith("~") and not os.path.exists(found):
        raise ConfigError(f"there is no user {found.split('/')[0][1:]!r}", f"the path {text}", "write the path out")
    return found


def expanded(path: str | Path) -> Path:
    """The absolute path that a setting means; relative ones begin at the working directory (see `as_written`)."""
    # Not resolved: a link and `..` mean what the system makes of them, and a message shows what was written.
    return Path(as_written(str(path))).absolute()

"""Names that become folder names, job names and run names."""

import re

from segsuite.errors import ConfigError

SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_slug(name: str, kind: str) -> str:
    """`name` itself if it is a slug: at most 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit.

    A slug can be a folder, a job name and a command-line argument without quoting. Raises ConfigError otherwise.
    """
    # fullmatch: `re.match` with `$` would let a trailing newline through, and a newline in a job name can start a
    # command.
    if not SLUG.fullmatch(name) or ".." in name:
        raise ConfigError(
            f"{kind} {name!r} is not a plain name",
            advice="use lower-case letters, digits, '.', '_' and '-' (at most 64), starting with a letter or digit",
        )
    return name

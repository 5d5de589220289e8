"""Names that become folder names, job names and run names."""

import re

from segsuite.errors import ConfigError

SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_slug(name: str, kind: str, where: str = "") -> str:
    """`name` itself if it is a slug: lower-case letters, digits, '.', '_' and '-', at most 64, starting with a letter
    or digit.

    A slug can be a folder, a job name and a command-line argument without quoting. Raises ConfigError otherwise.
    """
    # fullmatch: `re.match` with `$` would let a trailing newline through, and a newline in a job name can start a
    # command.
    if not SLUG.fullmatch(name) or ".." in name:
        shown = ascii(name) if len(name) <= 70 else f"{name[:60]!a}... ({len(name)} characters)"
        raise ConfigError(
            f"{kind} {shown} is not a plain name",
            where,
            "use lower-case letters, digits, '.', '_' and '-' (at most 64), starting with a letter or digit",
        )
    return name

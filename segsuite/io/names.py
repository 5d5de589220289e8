"""Names that become folder names, job names and run names."""

import hashlib
import os
import re

from segsuite.errors import ConfigError

LONGEST_STEM = 200
"""Bytes: a file's name has at most 255, and a suffix, and that of its temporary file is longer."""
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


def file_stem(name: str) -> str:
    """A file's name, without its suffix, for a sample's `name`, which may be a path: another one for each name, of at
    most 200 bytes; the name itself where it is short and has neither "/" nor "%".

    >>> file_stem("seq1/frame-7"), file_stem("seq1-frame-7"), len(file_stem("x" * 300))
    ('seq1%2Fframe-7', 'seq1-frame-7', 200)
    """
    plain = os.fsencode(name.replace("%", "%25").replace("/", "%2F"))
    if len(plain) <= LONGEST_STEM:
        return os.fsdecode(plain)
    end = f"-{hashlib.sha256(plain).hexdigest()[:16]}"
    return plain[: LONGEST_STEM - len(end)].decode(errors="ignore") + end

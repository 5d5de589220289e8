"""The images that a person names: files, folders, patterns, lists and videos; and the name of each in the output."""

import glob
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segsuite.errors import ConfigError

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".jp2", ".tga")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
LIST = ".txt"


@dataclass(frozen=True)
class Input:
    """`path`: of the image or video; `name`: its place in the output, without a suffix."""

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether it holds frames and not one image."""
        return self.path.suffix.lower() in VIDEOS


def inputs(wishes: Sequence[str]) -> list[Input]:
    """The images of files, folders (with all below them), patterns such as `photos/*.jpg`, lists (.txt, a path a line)
    and `-` (such a list on standard input), each once.

    Folders below a named one are kept in `name`, and the suffix where two images differ by nothing else. Raises
    ConfigError for what is not there or holds no image, and for two images of one name.
    """
    found: dict[Path, str] = {}
    for wish in wishes:
        for path, name in _named(wish):
            found.setdefault(path, name)
    stems = Counter(_stem(name) for name in found.values())
    named = {path: name if stems[_stem(name)] > 1 else _stem(name) for path, name in found.items()}
    owner: dict[str, Path] = {}
    for path, name in named.items():
        if name in owner:
            raise ConfigError(
                f"two images would be written to one file, {name}",
                f"{owner[name]} and {path}",
                "name a folder above both, so that their folders are kept",
            )
        owner[name] = path
    return [Input(path, name) for path, name in named.items()]


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _named(wish: str) -> Iterator[tuple[Path, str]]:
    """Each image that a word of the command line means, and its name with folders and suffix."""
    path = Path(wish)
    if wish == "-":
        yield from _listed(sys.stdin, "standard input")
    elif path.is_dir():
        below = sorted(one for one in path.rglob("*") if one.suffix.lower() in IMAGES + VIDEOS and one.is_file())
        if not below:
            raise ConfigError("the folder holds no image", wish, f"images are files such as {', '.join(IMAGES[:4])}")
        yield from ((one, one.relative_to(path).as_posix()) for one in below)
    elif path.suffix.lower() == LIST and path.is_file():
        with open(path, encoding="utf-8") as lines:
            yield from _listed(lines, wish)
    elif path.is_file():
        yield path, path.name
    elif glob.has_magic(wish):
        matching = sorted(Path(one) for one in glob.glob(wish, recursive=True) if Path(one).is_file())
        if not matching:
            raise ConfigError("no file matches the pattern", wish, "put it in quotes and look what `ls` says of it")
        root = _root(wish)
        yield from ((one, one.relative_to(root).as_posix()) for one in matching)
    else:
        raise ConfigError("there is no such image, folder or list", wish, "look for a typing error in the path")


def _listed(lines: Iterable[str], where: str) -> Iterator[tuple[Path, str]]:
    try:
        paths = [Path(text) for line in lines if (text := line.strip())]
    except UnicodeDecodeError as error:
        raise ConfigError("the list is not UTF-8", where, "write one path a line into a text file") from error
    if not paths:
        raise ConfigError("the list names no image", where, "write one path a line")
    for path in paths:
        safe = not path.is_absolute() and ".." not in path.parts
        yield path, path.as_posix() if safe else path.name


def _root(pattern: str) -> Path:
    """The part of a pattern in front of its first folder with a star."""
    parts = Path(pattern).parts
    plain = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:plain]) if plain else Path()

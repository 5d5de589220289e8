"""The images that a person names: files, folders, patterns, lists and videos; and the name of each in the output."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segsuite.errors import ConfigError

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".jp2", ".tga")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
LIST = ".txt"
SETTINGS = "predictions.json"
OUTPUTS = ("labels", "overlays", "probabilities")
"""Of a folder that holds SETTINGS: what `segsuite predict` has written."""


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
    known: set[str] = set()
    for wish in wishes:
        for path, name in _named(wish):
            spelling = os.path.abspath(path)  # one file may be named in several ways
            if spelling not in known:
                known.add(spelling)
                found[path] = name
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
    listed = [Input(path, name) for path, name in named.items()]
    videos = {one.name: one.path for one in listed if one.is_video}
    for one in listed:
        above = next((str(folder) for folder in PurePosixPath(one.name).parents if str(folder) in videos), None)
        if above is not None:
            raise ConfigError(
                f"the frames of a video would be written among other images, in {above}",
                f"{videos[above]} and {one.path}",
                "predict them apart, each with an --out of its own",
            )
    return listed


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _named(wish: str) -> Iterator[tuple[Path, str]]:
    """Each image that a word of the command line means, and its name with folders and suffix."""
    path = Path(wish)
    if wish == "-":
        yield from _listed(sys.stdin, "standard input")
    elif path.is_dir():
        below = sorted(_below(path))
        if not below:
            raise ConfigError("the folder holds no image", wish, f"images are files such as {', '.join(IMAGES[:4])}")
        yield from ((one, one.relative_to(path).as_posix()) for one in below)
    elif path.suffix.lower() == LIST and path.is_file():
        with open(path, encoding="utf-8-sig") as lines:
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


def _below(folder: Path) -> Iterator[Path]:
    """Images and videos in a folder and all below it, of which links to folders are a part; a link that leads nowhere
    is there, to be named. What an earlier prediction has written is none of them."""
    seen: set[str] = set()
    for at, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        if SETTINGS in files:
            folders[:] = [name for name in folders if name not in OUTPUTS]
        yield from (Path(at, name) for name in files if Path(name).suffix.lower() in IMAGES + VIDEOS)


def _listed(lines: Iterable[str], where: str) -> Iterator[tuple[Path, str]]:
    try:
        paths = [Path(text) for line in lines if (text := line.strip())]
    except UnicodeDecodeError as error:
        raise ConfigError("the list is not UTF-8", where, "write one path a line into a text file") from error
    if not paths:
        raise ConfigError("the list names no image", where, "write one path a line")
    for path in paths:
        if not path.name or "\0" in str(path) or path.is_dir():
            raise ConfigError(
                f"the list names {str(path)[:80]!a}, which is no image", where, "write the path of one image a line"
            )
        safe = not path.is_absolute() and ".." not in path.parts
        yield path, path.as_posix() if safe else path.name


def _root(pattern: str) -> Path:
    """The part of a pattern in front of its first folder with a star."""
    parts = Path(pattern).parts
    plain = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:plain]) if plain else Path()

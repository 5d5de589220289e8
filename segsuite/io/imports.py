"""What is imported, and from where: libraries without what they bring in, processes without their working folder."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder

import segsuite


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Within the body `import name` fails as if it were not installed, unless it is imported already; later it works.

    >>> with without("this"):
    ...     import this
    Traceback (most recent call last):
    ModuleNotFoundError: import of this halted; None in sys.modules
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # documented: importing it raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[name]


def without_working_folder(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a Python process that takes no module from the folder that it works in, where `python -m` and
    an empty entry of PYTHONPATH look before the standard library. Folders that PYTHONPATH names stay.

    >>> without_working_folder({"PYTHONPATH": "/a::/b:", "HOME": "/c"})
    {'PYTHONPATH': '/a:/b', 'HOME': '/c', 'PYTHONSAFEPATH': '1'}
    >>> without_working_folder({"PYTHONPATH": ":"})
    {'PYTHONSAFEPATH': '1'}
    """
    named = os.pathsep.join(filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)))
    found = {**environment, "PYTHONPATH": named, "PYTHONSAFEPATH": "1"}
    if not named:
        del found["PYTHONPATH"]
    return found


def of_a_child(environment: Mapping[str, str]) -> dict[str, str]:
    """The same, for a process that is to import the segsuite that this one has: where that is not installed, but beside
    a script or in a folder that only this process looks in, PYTHONPATH names the folder."""
    return without_working_folder(environment if _is_found(sys.path[1:]) else _with(environment, _home()))


def forget_working_folder() -> None:
    """For a program that was started by `python -m`: what it imports from now on does not come from the folder that it
    works in. Where only that folder has segsuite, since it is not installed, its processes are told where it is."""
    here = sys.path.pop(0) or os.getcwd()
    if not _is_found(sys.path):
        os.environ.update(_with(os.environ, here))
        sys.path.append(here)


def _is_found(folders: Sequence[str]) -> bool:
    """Whether a process that looks in these folders, and has the import hooks of this one, finds this segsuite."""
    for finder in sys.meta_path:
        if finder is PathFinder:
            spec = PathFinder.find_spec("segsuite", [folder for folder in folders if folder])
        else:  # such as that of an editable install
            spec = finder.find_spec("segsuite", None)
        if spec is not None:
            return spec.origin == segsuite.__file__
    return False


def _with(environment: Mapping[str, str], folder: str) -> dict[str, str]:
    named = environment.get("PYTHONPATH", "").split(os.pathsep)
    return {**environment, "PYTHONPATH": os.pathsep.join([folder] * (folder not in named) + named)}


def _home() -> str:
    return os.path.dirname(os.path.dirname(segsuite.__file__))

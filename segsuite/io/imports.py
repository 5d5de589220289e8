"""What is imported, and from where: libraries without what they bring in, processes without their working folder."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping


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


def forget_working_folder() -> None:
    """For a program that was started by `python -m`: what it imports from now on does not come from the folder that it
    works in. Where only that folder has segsuite, since it is not installed, its processes are told where it is."""
    here = sys.path.pop(0) or os.getcwd()
    package = sys.modules["segsuite"].__file__
    specs = (finder.find_spec("segsuite", None) for finder in sys.meta_path)
    found = next((spec.origin for spec in specs if spec is not None), None)
    if found != package:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
        sys.path.append(here)

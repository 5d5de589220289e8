"""A user's own upsampler, named on the command line as package.module:Factory. Never named in a YAML: it runs code."""

import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segsuite.checkerboard.theory.operators import Step
from segsuite.checkerboard.theory.targets import Own
from segsuite.errors import ConfigError, unknown_name

SIZE = 12


def own_step(own: Own, channels: int, factor: int, seed: int) -> Step:
    """The module that Factory(channels, channels, factor), or else Factory(), makes with torch seeded by `seed`; one
    made without arguments takes in the channels of its first layer.

    Raises ConfigError, with the user's own file and line where there is one, when it cannot be imported or made, or
    does not enlarge (1, C, 12, 12) in float64 by a whole factor; so does the module itself, whenever it fails.
    """
    name = f"{own.module}:{own.attribute}"
    with _told(f"{name} cannot be used"):
        factory = _factory(own)
        torch.manual_seed(seed)
        takes_sizes = _takes(factory, channels, channels, factor)
        if not takes_sizes and not _takes(factory):
            raise ConfigError(
                f"{name} takes neither (in_channels, out_channels, factor) nor nothing",
                advice="wrap it in a function without parameters that returns the module",
            )
        module = factory(channels, channels, factor) if takes_sizes else factory()
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{name} gives a {type(module).__name__}", advice="return a torch.nn.Module")
    in_channels = channels if takes_sizes else _in_channels(module, channels)
    telling = _Telling(module.double().eval(), name)
    with torch.no_grad():
        y_NCHW = telling(torch.zeros(1, in_channels, SIZE, SIZE, dtype=torch.float64))
    return Step(telling, in_channels, y_NCHW.shape[1], _factor_of(name, y_NCHW, in_channels))


class _Telling(nn.Module):
    """A user's module, whose errors are told as those of its making."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__()
        self.module, self.name = module, name

    def forward(self, x_NCHW: Tensor) -> Tensor:
        with _told(f"{self.name} fails for an input of {tuple(x_NCHW.shape)}"):
            y_NCHW = self.module(x_NCHW)
        if not isinstance(y_NCHW, Tensor) or y_NCHW.dim() != 4:
            found = str(tuple(y_NCHW.shape)) if isinstance(y_NCHW, Tensor) else f"a {type(y_NCHW).__name__}"
            raise ConfigError(f"{self.name} gives {found} instead of (N, C, H, W)")
        if y_NCHW.dtype != x_NCHW.dtype:
            raise ConfigError(
                f"{self.name} gives {y_NCHW.dtype} for a {x_NCHW.dtype} input", advice="take the dtype from the input"
            )
        return y_NCHW


def _factory(own: Own) -> Callable[..., Any]:
    try:
        module = importlib.import_module(own.module)
    except ModuleNotFoundError as error:
        if error.name and f"{own.module}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"there is no Python module '{error.name}'",
                advice="start in the folder that holds it, or install it, and write module:package.module:Factory",
            ) from error
        raise
    if not hasattr(module, own.attribute):
        names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise ConfigError(unknown_name(f"name in {own.module}", own.attribute, names))
    factory = getattr(module, own.attribute)
    if isinstance(factory, nn.Module) or not callable(factory):
        raise ConfigError(
            f"{own.module}:{own.attribute} is a {type(factory).__name__}",
            advice="name a class or a function that makes the module",
        )
    return factory  # type: ignore[no-any-return]  # checked to be callable


def _takes(factory: Callable[..., Any], *arguments: Any) -> bool:
    try:
        inspect.signature(factory).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


def _in_channels(module: nn.Module, otherwise: int) -> int:
    for part in module.modules():
        channels = getattr(part, "in_channels", None)
        if isinstance(channels, int):
            return channels
    return otherwise


def _factor_of(name: str, y_NCHW: Tensor, in_channels: int) -> int:
    height, width = y_NCHW.shape[-2:]
    if height != width or width % SIZE or width == SIZE:
        raise ConfigError(
            f"{name} makes {tuple(y_NCHW.shape)} of (1, {in_channels}, {SIZE}, {SIZE})",
            advice="height and width must grow by the same whole factor of 2 or more",
        )
    return width // SIZE


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Imports from the current folder as `python` does; tells an error of the user's code in one sentence with its
    place; what that code prints goes to standard error, since standard output may be JSON."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        last = ([frame for frame in frames if frame.filename.startswith(here)] or frames)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        if isinstance(error, SyntaxError) and error.filename:
            place = f"{Path(error.filename).name}:{error.lineno}"
        reason = (str(error).splitlines() or [""])[0][:200]
        raise ConfigError(f"{what}: {type(error).__name__}: {reason}", place) from error
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)

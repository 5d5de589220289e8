"""What `segsuite inspect --checkerboard` can be asked about. Reads texts only: neither torch nor a user's module.

transposed_k4                   an upsampler
transposed_k4:bilinear          with another initialisation than `random`
k3s2p1                          a transposed convolution of this kernel, stride and padding
module:package.module:Factory   a user's own module
A+B+C                           a chain of any of these, first to last
all                             every upsampler with each of its initialisations
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segsuite.checkerboard.theory.overlap import GEOMETRY, Geometry
from segsuite.errors import ConfigError, Problems, nearest
from segsuite.upsamplers import INITIALISATIONS, UPSAMPLERS, check_settings

OWN = "module:"
ALL = "all"
FORMS = "an upsampler (transposed_k4, transposed_k4:bilinear), k3s2p1, module:package.module:Factory, A+B, or all"
MAX_STEPS = 5


@dataclass(frozen=True)
class Named:
    """An upsampler of the suite."""

    name: str
    init: str = "random"


@dataclass(frozen=True)
class Own:
    """A class or function of a user that makes an nn.Module."""

    module: str
    attribute: str


Piece = Named | Geometry | Own


@dataclass(frozen=True)
class Target:
    """A chain of one or more pieces, first to last."""

    text: str
    pieces: tuple[Piece, ...]


def parse_targets(texts: Sequence[str]) -> list[Target]:
    """The targets of the command line, each once, `all` spelt out.

    Raises one ConfigError with everything that is wrong, nearest valid names included.
    """
    problems = Problems()
    wanted = [each for text in texts for each in (every_upsampler() if text == ALL else (text,))]
    found = [problems.attempt(None, parse_target, text) for text in dict.fromkeys(wanted)]
    problems.raise_all()
    return [target for target in found if target is not None]


def parse_target(text: str) -> Target:
    """Raises ConfigError for what is none of the forms above."""
    pieces = text.split("+")
    where = f"--checkerboard {text[:80]}"
    if len(pieces) > MAX_STEPS:
        raise ConfigError(f"a chain of {len(pieces)} steps is too long", where, f"take at most {MAX_STEPS}")
    try:
        return Target(text, tuple(map(_piece, pieces)))
    except ConfigError as error:
        raise ConfigError(error.what, where, error.advice or f"name {FORMS}") from error


def every_upsampler() -> Iterable[str]:
    """Every upsampler, and each of its initialisations."""
    for name in UPSAMPLERS:
        yield name
        yield from (f"{name}:{init}" for init in INITIALISATIONS.get(name, ()))


def _piece(text: str) -> Piece:
    if text.startswith(OWN):
        module, colon, attribute = text.removeprefix(OWN).rpartition(":")
        if not colon or not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            raise ConfigError(f"'{text[:80]}' does not say which class", advice="write module:package.module:Factory")
        return Own(module, attribute)
    if GEOMETRY.fullmatch(text):
        return Geometry.parse(text)
    name, _, init = text.partition(":")
    if name not in UPSAMPLERS:
        near = nearest(name, [*UPSAMPLERS, ALL]) if name else None
        advice = f"did you mean '{near}'?" if near else f"name {FORMS}; upsamplers: {', '.join(sorted(UPSAMPLERS))}"
        raise ConfigError(f"'{text[:80]}' is nothing to inspect", advice=advice)
    check_settings(name, init or "random")
    return Named(name, init or "random")

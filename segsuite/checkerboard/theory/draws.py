"""All that the theory says of one upsampler, over draws of its weights: the figures of docs/guides/checkerboard.md."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsuite.checkerboard.theory import impulse as impulses
from segsuite.checkerboard.theory import probes
from segsuite.checkerboard.theory.impulse import Impulse
from segsuite.checkerboard.theory.operators import Operator
from segsuite.checkerboard.theory.overlap import coefficient_of_variation
from segsuite.checkerboard.theory.profile import FRACTIONS, Estimate, Pictures, Profile

SCENES = 16
"""Constants of each draw of a data-dependent upsampler; of another one two, for the picture and as a check."""
POLYNOMIALS = 4
FIELDS = 4
"""Channel vectors for each monomial, and random fields, of each draw."""
PICTURE_PIXELS = 16
SPECTRUM_PIXELS = 48


@dataclass(frozen=True, eq=False)
class Draw:
    """The figures of one draw of the weights; names as in Profile."""

    imbalance: float
    harmonics_SS: Tensor
    rejection: dict[float, float]
    order: int
    ramp_residual: float
    condition: float
    shift_down: float
    shift_right: float
    noise_gain: float
    constant_gain: float
    patterns_NOSS: Tensor


def profile(target: str, build: Callable[[int], Operator], draws: int = 20, seed: int = 0) -> Profile:
    """The figures of the operator that `build` makes from a seed, over `draws` independent draws.

    An operator that is linear and whose response is the same in the first two draws has nothing to draw: one is taken.
    Raises ConfigError for an operator that the theory does not hold for.
    """
    found: list[Draw] = []
    first: tuple[Operator, Impulse] | None = None
    for number in range(draws):
        of_weights, of_scenes = map(int, np.random.SeedSequence([seed, number]).generate_state(2))
        operator, generator = build(of_weights), torch.Generator().manual_seed(of_scenes)
        scenes = torch.randn(SCENES, operator.in_channels, generator=generator, dtype=torch.float64)
        guides = torch.randn(SCENES, operator.in_channels, generator=generator, dtype=torch.float64)
        impulse = impulses.measure_impulse(operator, scenes[0], guides[0])
        if first is None:
            first = operator, impulse
        elif impulse.exact and torch.equal(first[1].map_IOYX, impulse.map_IOYX):
            break
        found.append(one_draw(operator, impulse, scenes, guides, generator))
    if first is None:
        raise ValueError(f"draws must be at least 1, not {draws}")
    operator, impulse = first
    overlap = _overlap(operator)
    return Profile(
        target=target,
        factor=operator.factor,
        channels=operator.in_channels,
        parameters=operator.parameters,
        multiply_adds=operator.multiply_adds(),
        data_dependent=not impulse.exact,
        overlap=overlap.tolist(),
        overlap_cv=coefficient_of_variation(overlap),
        imbalance=Estimate.of([draw.imbalance for draw in found]),
        harmonics=torch.stack([draw.harmonics_SS for draw in found]).mean(dim=0).tolist(),
        rejection={at: Estimate.of([draw.rejection[at] for draw in found]) for at in FRACTIONS},
        order=min(draw.order for draw in found),
        ramp_residual=Estimate.of([draw.ramp_residual for draw in found]),
        condition=Estimate.geometric([draw.condition for draw in found]),
        shift_down=Estimate.of([draw.shift_down for draw in found]),
        shift_right=Estimate.of([draw.shift_right for draw in found]),
        noise_gain=Estimate.of([draw.noise_gain for draw in found]),
        constant_gain=Estimate.of([draw.constant_gain for draw in found]),
        pictures=_pictures(impulse, found[0].patterns_NOSS),
    )


def one_draw(
    operator: Operator, impulse: Impulse, scenes_NC: Tensor, guides_NG: Tensor, generator: torch.Generator
) -> Draw:
    """The figures of one operator: exact where it is linear, from the random scenes where it depends on them."""
    reach, exact = impulse.reach, impulse.exact
    used = 2 if exact else len(scenes_NC)
    patterns_NOSS = probes.pattern_of_constants(operator, scenes_NC[:used], guides_NG[:used], reach)
    polynomials = [
        probes.polynomial_response(operator, degree, scenes_NC[:POLYNOMIALS], guides_NG[:POLYNOMIALS], reach)
        for degree in probes.DEGREES
    ]
    if exact:
        gains_SSOI = impulse.gains()
        imbalance, harmonics = impulses.imbalance(gains_SSOI), impulses.harmonics(gains_SSOI)
        constant_gain = float(gains_SSOI.square().mean()) * operator.in_channels
        rejection = {at: impulse.image_rejection(at) for at in FRACTIONS}
    else:
        imbalance, harmonics = probes.constant_imbalance(patterns_NOSS), probes.constant_harmonics(patterns_NOSS)
        constant_gain = float(patterns_NOSS.square().mean())
        rejection = {at: probes.field_rejection(operator, at, FIELDS, reach, generator) for at in FRACTIONS}
    down, right = impulse.shift()
    return Draw(
        imbalance=imbalance,
        harmonics_SS=harmonics,
        rejection=rejection,
        order=probes.order(polynomials),
        ramp_residual=polynomials[1].ramp_residual,
        condition=impulse.condition(),
        shift_down=down,
        shift_right=right,
        noise_gain=impulse.noise_gain(),
        constant_gain=constant_gain,
        patterns_NOSS=patterns_NOSS,
    )


def _overlap(operator: Operator) -> NDArray[np.int64]:
    """(S, S) products along all paths of a channel pair: the taps of each step, multiplied along the chain."""
    counts = np.ones((1, 1), dtype=np.int64)
    for part in (part for step in operator.steps for part in step.parts()):
        alone = Operator((part,))
        scene, guide = torch.randn(2, part.in_channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        impulse = impulses.measure_impulse(alone, scene, guide)
        finer = np.zeros((counts.shape[0] * part.factor,) * 2, dtype=np.int64)
        rows, columns = np.indices(finer.shape)
        for phase_down, phase_right, down, right in impulse.support().nonzero().tolist():
            of_phase = (rows % part.factor == phase_down) & (columns % part.factor == phase_right)
            row = (rows // part.factor - (down - impulse.reach)) % counts.shape[0]
            column = (columns // part.factor - (right - impulse.reach)) % counts.shape[1]
            finer += of_phase * counts[row, column]
        counts = finer
    return counts


def _pictures(impulse: impulses.Impulse, patterns_NOSS: Tensor) -> Pictures:
    factor, middle = impulse.factor, impulse.cells // 2
    outputs = impulse.map_IOYX.shape[1]
    strongest = int(impulse.map_IOYX.square().sum(dim=(2, 3)).argmax())
    response = impulse.map_IOYX[strongest // outputs, strongest % outputs]
    shown = slice((middle - impulse.reach) * factor, (middle + impulse.reach + 1) * factor)
    response = response[shown, shown]
    pattern = patterns_NOSS[0, 0]
    contrast = (pattern - pattern.mean()) / patterns_NOSS[0].square().mean().sqrt()
    repeats = max(2, PICTURE_PIXELS // factor)
    power = impulse.power(max(6, SPECTRUM_PIXELS // factor))
    level = 10 * (power / power[0, 0]).clamp(min=1e-12).log10()
    return Pictures(
        impulse=(response / response.abs().max()).tolist(),
        constant=contrast.repeat(repeats, repeats).tolist(),
        spectrum=level.tolist(),
    )

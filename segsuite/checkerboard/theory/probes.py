"""What an upsampler really makes of constants, polynomials and band-limited noise, data-dependent or not.

Everything is float64, away from the border, and minus the response to zero. `reach` is how many low-resolution pixels
an output pixel depends on to each side (impulse.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segsuite.checkerboard.theory.impulse import NEGLIGIBLE, decibel
from segsuite.checkerboard.theory.operators import Guide, Operator, constant_guide
from segsuite.errors import ConfigError

DEGREES = (0, 1, 2)
BAND_BINS = 17
"""Frequencies along an axis of a random field, odd in number: the band's edge lies halfway between two bins then, and
each stands for as much of the band. A bin at the edge, counted whole, makes the images 0.5 to 3 dB too strong."""


def pattern_of_constants(operator: Operator, scenes_NC: Tensor, guides_NG: Tensor, reach: int) -> Tensor:
    """(N, out channels, S, S): the pattern that constant inputs become, one low-resolution pixel of it, minus what
    zeros become.

    Raises ConfigError when places far from the border differ by more than the phase: then nothing here holds.
    """
    margin, factor = 2 * reach + 1, operator.factor
    size = 2 * margin + 2
    guide = constant_guide(guides_NG, size)
    x_NCHW = scenes_NC[:, :, None, None].expand(-1, -1, size, size)
    inside = _inside(_response(operator, x_NCHW, guide), margin * factor)
    cells = inside.reshape(*inside.shape[:2], 2, factor, 2, factor).transpose(3, 4).flatten(2, 3)
    first = cells[:, :, :1]
    if (cells - first).abs().max() > NEGLIGIBLE * first.abs().max():
        raise ConfigError(
            "the upsampler does not treat all places alike: a constant gives different values far from the border",
            advice="there is no theory for align_corners=True or for position encodings; measure on features instead",
        )
    return first[:, :, 0]


def constant_imbalance(pattern_NOSS: Tensor) -> float:
    """Variance over the phases as a fraction of the mean square, of responses to constants N(0, I): what `imbalance`
    of the gains is in expectation, for any upsampler."""
    variance = pattern_NOSS.var(dim=(2, 3), correction=0).sum()
    return float(variance / pattern_NOSS.square().mean(dim=(2, 3)).sum())


def constant_harmonics(pattern_NOSS: Tensor) -> Tensor:
    """(S, S) share of the energy at k/S cycles per pixel, of responses to constants."""
    energy = torch.fft.fft2(pattern_NOSS).abs().square().sum(dim=(0, 1))
    shares: Tensor = energy / energy.sum()
    return shares


@dataclass(frozen=True)
class PolynomialResponse:
    """Root mean squares over all scenes, output channels and interior pixels."""

    degree: int
    residual: float
    """What is left after the polynomial of the same degree that fits the means of cells is taken off, by the
    response."""
    left: float
    rise: float
    """Of a response to ramps: its slope over one low-resolution pixel; 0 for other degrees."""

    @property
    def ramp_residual(self) -> float:
        """The pattern on a ramp as a fraction of the ramp's rise over one low-resolution pixel. Of factor S:
        sqrt((1 - 1/S^2) / 12) for nearest neighbour (0.25 at 2), 0 for bilinear."""
        return self.left / self.rise if self.rise > 0 else float("inf")


def polynomial_response(
    operator: Operator, degree: int, scenes_NC: Tensor, guides_NG: Tensor, reach: int
) -> PolynomialResponse:
    """Of the monomials of `degree`, each times the channel vectors `scenes` (and `guides` for the guide)."""
    factor, margin = operator.factor, 2 * reach + 1
    size, scenes = 2 * margin + 5, len(scenes_NC)
    powers = [(degree - right, right) for right in range(degree + 1)]
    monomials_MHW = _monomials(powers, size, 1).repeat_interleave(scenes, 0)
    x_NCHW = scenes_NC.repeat(len(powers), 1)[:, :, None, None] * monomials_MHW[:, None]

    def guide(at: int) -> Tensor:
        finer_MHW = _monomials(powers, size, at).repeat_interleave(scenes, 0)
        return guides_NG.repeat(len(powers), 1)[:, :, None, None] * finer_MHW[:, None]

    everything = [(down, right) for down in range(degree + 1) for right in range(degree + 1 - down)]
    response_BHW = _inside(_response(operator, x_NCHW, guide), margin * factor).flatten(0, 1)
    basis_BHW = _inside(_monomials(everything, size, factor), margin * factor)
    # Fitted to the means of cells, in which a pattern of the phases is a constant and cannot tilt the fit.
    of_cells = torch.linalg.lstsq(_columns(_cells(basis_BHW, factor)), _columns(_cells(response_BHW, factor)))
    coefficients, target = of_cells.solution, _columns(response_BHW)
    left = _root_mean_square(target - _columns(basis_BHW) @ coefficients)
    response = _root_mean_square(target)
    # The input's extent is -1..1: one pixel is 2 / size of it.
    slopes = coefficients[[index for index, (down, right) in enumerate(everything) if down + right == 1]]
    rise = float(slopes.square().sum(dim=0).mean().sqrt()) * 2 / size if degree == 1 else 0.0
    return PolynomialResponse(degree, left / response if response > 0 else 0.0, left, rise)


def order(responses: Sequence[PolynomialResponse]) -> int:
    """Strang-Fix order, at most 3, from the responses of degree 0, 1, 2: polynomials of a degree below it keep their
    form, hence have no pattern."""
    return next((one.degree for one in responses if one.residual > NEGLIGIBLE), len(responses))


def field_rejection(operator: Operator, fraction: float, fields: int, reach: int, generator: torch.Generator) -> float:
    """Image rejection in dB, as Impulse.image_rejection, from the responses to `fields` periodic random fields: white
    noise N(0, 1) without what is above `fraction` of the low-resolution Nyquist frequency per axis."""
    size, factor, margin = round(BAND_BINS / fraction), operator.factor, 2 * reach + 1
    x_NCHW = _field((fields, operator.in_channels), size, size * fraction / 2, generator)
    guides = {
        step_factor: _field((fields, operator.in_channels), size * step_factor, size * fraction / 2, generator)
        for step_factor in (_reached(operator) if operator.needs_guide else ())
    }

    def guide(at: int) -> Tensor:
        return _periodic(guides[at], margin * at)

    x_NCHW = _periodic(x_NCHW, margin)
    inside = _inside(_response(operator, x_NCHW, guide), margin * factor)
    power_YX = torch.fft.fft2(inside).abs().square().sum(dim=(0, 1))
    base = torch.fft.fftfreq(size * factor, d=1 / (size * factor), dtype=torch.float64).abs() <= size * fraction / 2
    within = power_YX[base][:, base].sum()
    return decibel(float((power_YX.sum() - within) / within))


def _response(operator: Operator, x_NCHW: Tensor, guide: Guide) -> Tensor:
    """The response minus that to zero, of the same guide."""
    zeros = torch.zeros_like(x_NCHW if operator.needs_guide else x_NCHW[:1])
    return operator(x_NCHW, guide) - operator(zeros, guide)


def _cells(values_BHW: Tensor, factor: int) -> Tensor:
    """Means over the factor x factor pixels of each low-resolution pixel."""
    return torch.nn.functional.avg_pool2d(values_BHW, factor)


def _columns(values_BHW: Tensor) -> Tensor:
    """(pixels, B)."""
    return values_BHW.flatten(1).T


def _root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _monomials(powers: list[tuple[int, int]], size: int, factor: int) -> Tensor:
    """(M, factor size, factor size): down^a right^b on a grid `factor` times finer, the input's extent being -1..1."""
    place = ((torch.arange(size * factor, dtype=torch.float64) + 0.5) / (size * factor)) * 2 - 1
    return torch.stack([place[:, None] ** down * place[None, :] ** right for down, right in powers])


def _field(shape: tuple[int, int], size: int, highest: float, generator: torch.Generator) -> Tensor:
    """Periodic white noise without the frequencies above `highest` cycles per field, unit variance."""
    white = torch.randn(*shape, size, size, generator=generator, dtype=torch.float64)
    kept = torch.fft.fftfreq(size, d=1 / size, dtype=torch.float64).abs() <= highest
    field: Tensor = torch.fft.ifft2(torch.fft.fft2(white) * (kept[:, None] & kept[None, :])).real
    return field / float(kept.double().mean())


def _inside(values: Tensor, border: int) -> Tensor:
    return values[..., border:-border, border:-border]


def _periodic(x_NCHW: Tensor, margin: int) -> Tensor:
    """`x` continued periodically by `margin` pixels on every side."""
    size = x_NCHW.shape[-1]
    places = torch.arange(-margin, size + margin) % size
    return x_NCHW[..., places[:, None], places[None, :]]


def _reached(operator: Operator) -> list[int]:
    factors, reached = [], 1
    for step in operator.steps:
        reached *= step.factor
        factors.append(reached)
    return factors

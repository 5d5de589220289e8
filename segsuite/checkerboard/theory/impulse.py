"""The response of an upsampler to one pixel, and what follows from it exactly, without sampling.

Away from the border an upsampler of factor S treats all low-resolution pixels alike, so the responses to a unit
impulse in each input channel say everything about a linear one: y[S n + p] = sum_m h_p[m] x[n - m], phases p in
{0..S-1}^2, matrices h_p[m] (out channels, in channels). A data-dependent one (CARAFE, DySample, ...) is linearised at
a constant scene, where its predicted kernels are the same in all places.

    phase gains     G_p = sum_m h_p[m]: a constant u gives G_p u, so a constant stays constant iff all G_p are equal.
    imbalance       sum Var_p G_p / sum mean_p G_p^2 over all channel pairs, in [0, 1]; 0: no checkerboard on constants.
                    1 - 1/S^2 for independent zero-mean weights, whatever the overlap.
    harmonics       DFT of G_p over the phases: energy at k/S cycles per output pixel, k in {0..S-1}^2. By Parseval the
                    energies of k != 0 sum to the variance over phases, so their shares sum to the imbalance.
    H(nu)           discrete-space Fourier transform of the response: its zeros at k/S are the above, how flat it is
                    there decides about inputs that vary (Strang, Fix 1971; Kinoshita, Kiya, arXiv 2002.02117).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from segsuite.checkerboard.theory.operators import Operator, constant_guide
from segsuite.errors import ConfigError

NEGLIGIBLE = 1e-9
PLACES_TOLERANCE = 1e-6
STEP = 1e-4
REACHES = (4, 8, 16, 32)
VALUES_AT_ONCE = 1 << 22
NULL = 1e-12


@dataclass(frozen=True, eq=False)
class Impulse:
    """Responses (in channels, out channels, S n, S n), float64, to a unit impulse in the middle of n x n pixels."""

    map_IOYX: Tensor
    factor: int
    reach: int
    """Farthest low-resolution pixel, along an axis, that an output pixel depends on."""
    exact: bool
    """True: the operator is linear and unguided, so this says all; False: it holds at one constant scene."""

    @property
    def cells(self) -> int:
        """n, odd."""
        return self.map_IOYX.shape[-1] // self.factor

    def phases(self) -> Tensor:
        """h (S, S, out, in, n, n): phase, channels, offset of the cell from the first; the impulse is in the middle."""
        inputs, outputs = self.map_IOYX.shape[:2]
        split = self.map_IOYX.reshape(inputs, outputs, self.cells, self.factor, self.cells, self.factor)
        return split.permute(3, 5, 1, 0, 2, 4)

    def gains(self) -> Tensor:
        """Phase gains G (S, S, out, in)."""
        return self.phases().sum(dim=(-2, -1))

    def support(self) -> Tensor:
        """(S, S, 2 reach + 1, 2 reach + 1), bool: whether a phase depends on the low-resolution pixel that many pixels
        before its own (the middle one)."""
        strength = self.phases().abs().amax(dim=(2, 3))
        near = slice(self.cells // 2 - self.reach, self.cells // 2 + self.reach + 1)
        seen: Tensor = strength[:, :, near, near] > NEGLIGIBLE * strength.max()
        return seen

    def noise_gain(self) -> float:
        """Mean square of the output for white noise of unit variance."""
        return float(self.map_IOYX.square().sum() / (self.factor**2 * self.map_IOYX.shape[1]))

    def shift(self) -> tuple[float, float]:
        """By how many output pixels (down, right) the content moves: centroid of the response's energy, from the
        middle of the impulse's own S x S cell. 0 on the half-pixel grid, on which all seams agree."""
        energy_YX = self.map_IOYX.square().sum(dim=(0, 1))
        place = torch.arange(energy_YX.shape[0], dtype=torch.float64) - (energy_YX.shape[0] - 1) / 2
        total = energy_YX.sum()
        down, right = (energy_YX.sum(dim=1) @ place) / total, (energy_YX.sum(dim=0) @ place) / total
        return float(down), float(right)

    def power(self, size: int) -> Tensor:
        """sum |H(nu)|^2 over all channel pairs, (S size, S size); bin j is nu = j / (S size) cycles per output
        pixel, exactly (the response is folded, not cut)."""
        length = self.factor * size
        power_YX = torch.zeros(length, length, dtype=torch.float64)
        for one_OYX in self.map_IOYX:  # a channel at a time: all at once take gigabytes at factor 8
            power_YX += torch.fft.fft2(_folded(one_OYX, length)).abs().square().sum(dim=0)
        return power_YX

    def image_rejection(self, fraction: float) -> float:
        """Power outside of the base band by the power inside, in dB, for white noise of `fraction` of the
        low-resolution Nyquist frequency per axis; minus infinity for the ideal interpolator.

        Integrals of |H(nu)|^2 over the base band and its images around k/S, k in {0..S-1}^2, by Gauss-Legendre: exact
        but for rounding, since |H|^2 has no faster waves than the response is long.
        """
        factor, cells = self.factor, 2 * self.reach + 1
        nodes, weights = np.polynomial.legendre.leggauss(16 + 4 * self.reach)
        bands = torch.arange(factor, dtype=torch.float64)[:, None] / factor
        nu = (bands + torch.from_numpy(nodes) * fraction / (2 * factor)).flatten()
        near = slice((self.cells // 2 - self.reach) * factor, (self.cells // 2 + self.reach + 1) * factor)
        waves = torch.polar(torch.ones(()).double(), 2 * torch.pi * nu[:, None] * torch.arange(factor * cells))
        power = torch.zeros(len(nu), len(nu), dtype=torch.float64)
        for one_OYX in self.map_IOYX[..., near, near]:
            power += (waves @ one_OYX.to(waves) @ waves.T).abs().square().sum(dim=0)
        weight = torch.from_numpy(weights).repeat(factor)
        in_bands = (power * weight[:, None] * weight).reshape(factor, len(nodes), factor, len(nodes)).sum(dim=(1, 3))
        base, *images = in_bands.flatten().tolist()
        return decibel(sum(images) / base)

    def condition(self, size: int = 16) -> float:
        """Square root of the ratio of the frame bounds: with P(w) the polyphase matrix (S^2 out, in) at frequency w,
        the largest singular value over all w by the smallest (Boelcskei, Hlawatsch, Feichtinger 1998, "Frame-theoretic
        analysis of oversampled filter banks", IEEE Trans. Signal Processing 46), on size x size frequencies with 0 and
        Nyquist. 1: distances are kept; infinity: some input gives nothing at all, up to 1e-12 of the largest."""
        h = self.phases().flatten(0, 2).movedim(1, 0)  # in, S S out, n, n
        polyphase = torch.fft.rfft2(_folded(h, size)).flatten(2).permute(2, 1, 0)  # frequency, S S out, in
        if polyphase.shape[1] < polyphase.shape[2]:
            return float("inf")
        # Of the triangle alone: the same singular values as of P, which has up to 1024 rows for each.
        values = torch.linalg.svdvals(torch.linalg.qr(polyphase, mode="r").R)
        largest, smallest = float(values.max()), float(values.min())
        return largest / smallest if smallest > NULL * largest else float("inf")


def imbalance(gains_SSOI: Tensor) -> float:
    """Variance of the gains over the phases, as a fraction of their mean square; sums over all channel pairs."""
    variance = gains_SSOI.var(dim=(0, 1), correction=0).sum()
    return float(variance / gains_SSOI.square().mean(dim=(0, 1)).sum())


def harmonics(gains_SSOI: Tensor) -> Tensor:
    """(S, S) share of the output's energy, for a constant input, at k/S cycles per pixel (down, right). They sum to 1;
    all but that of frequency 0 sum to the imbalance."""
    spectrum = torch.fft.fft2(gains_SSOI, dim=(0, 1)).abs().square().sum(dim=(2, 3))
    shares: Tensor = spectrum / spectrum.sum()
    return shares


def decibel(ratio: float) -> float:
    """10 log10 of a ratio of powers, not below -300."""
    return float(10 * torch.tensor(ratio, dtype=torch.float64).clamp(min=1e-30).log10())


def measure_impulse(operator: Operator, scene_C: Tensor, guide_G: Tensor) -> Impulse:
    """The response of a linear operator to an impulse, or the derivative of another one at the constant scene
    `scene` (in channels,), by central differences of fourth order.

    Raises ConfigError for an operator whose output depends on more than 65 x 65 pixels, or which does not treat all
    places alike.
    """
    linear = is_linear(operator, guide_G)
    for most in REACHES:
        response = _responses(operator, scene_C, guide_G, 2 * most + 1, linear)
        reach = _reach(response, operator.factor)
        # Of a data-dependent operator the border changes kernels as far in as it reaches itself.
        if reach < (most if linear else most // 2):
            _check_places(operator, scene_C, guide_G, 2 * most + 3)
            return Impulse(response, operator.factor, reach, exact=linear and not operator.needs_guide)
    raise ConfigError(
        f"an output pixel depends on more than {2 * REACHES[-1] + 1} x {2 * REACHES[-1] + 1} low-resolution pixels",
        advice="the theory is for single upsamplers and short chains; leave out normalisation over the whole map",
    )


def _check_places(operator: Operator, scene_C: Tensor, guide_G: Tensor, size: int) -> None:
    """Raises ConfigError unless the same change at another pixel has the same effect there."""
    middle, factor = size // 2, operator.factor
    x_NCHW = scene_C[:, None, None].repeat(3, 1, size, size)
    x_NCHW[1, :, middle, middle] += scene_C.flip(0)
    x_NCHW[2, :, middle + 1, middle + 1] += scene_C.flip(0)
    nothing, here, there = operator(x_NCHW, constant_guide(guide_G.expand(3, -1), size))
    here, there = here - nothing, (there - nothing).roll((-factor, -factor), (1, 2))
    if (here - there).abs().max() > PLACES_TOLERANCE * here.abs().max():
        raise ConfigError(
            "the upsampler does not treat all places alike: the same pixel has another effect elsewhere",
            advice="there is no theory for align_corners=True or for position encodings; measure on features instead",
        )


def is_linear(operator: Operator, guide_G: Tensor, size: int = 7) -> bool:
    """Whether U(a + 2 b) - U(0) is U(a) - U(0) + 2 (U(b) - U(0)), for one pair of white noises."""
    generator = torch.Generator().manual_seed(0)
    shape = (operator.in_channels, size, size)
    a, b = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    x_NCHW = torch.stack([torch.zeros_like(a), a, b, a + 2 * b])
    zero, of_a, of_b, of_sum = operator(x_NCHW, constant_guide(guide_G.expand(4, -1), size))
    expected, found = of_a + 2 * of_b - 3 * zero, of_sum - zero
    return bool((found - expected).abs().max() <= NEGLIGIBLE * expected.abs().max())


def _responses(operator: Operator, scene_C: Tensor, guide_G: Tensor, size: int, linear: bool) -> Tensor:
    """(in, out, S size, S size)."""
    channels, middle = operator.in_channels, size // 2
    base_CHW = (torch.zeros_like(scene_C) if linear else scene_C)[:, None, None].expand(-1, size, size)
    # Exact for a linear operator; else (8 (f(+h) - f(-h)) - (f(+2h) - f(-2h))) / 12 h, error h^4.
    weights = {1.0: 1.0, 0.0: -1.0} if linear else {STEP * k: w / (12 * STEP) for k, w in DIFFERENCE.items()}
    at_once = max(1, VALUES_AT_ONCE // (channels * (operator.factor * size) ** 2))
    found = []
    for start in range(0, channels, at_once):
        some = torch.arange(start, min(start + at_once, channels))
        guide = constant_guide(guide_G.expand(len(some), -1), size)
        parts = []
        for amount, weight in weights.items():
            x_NCHW = base_CHW.repeat(len(some), 1, 1, 1)
            x_NCHW[torch.arange(len(some)), some, middle, middle] += amount
            parts.append(weight * operator(x_NCHW, guide))
        found.append(torch.stack(parts).sum(dim=0))
    return torch.cat(found)


DIFFERENCE = {1: 8.0, -1: -8.0, 2: -1.0, -2: 1.0}


def _folded(values: Tensor, length: int) -> Tensor:
    """Period `length` of the last two dimensions continued periodically: sums over all places that far apart."""
    folds = -(-values.shape[-1] // length)
    missing = folds * length - values.shape[-1]
    padded = torch.nn.functional.pad(values, (0, missing, 0, missing))
    return padded.reshape(*values.shape[:-2], folds, length, folds, length).sum(dim=(-4, -2))


def _reach(response_IOYX: Tensor, factor: int) -> int:
    """Cells between the middle one and the farthest that is not negligible."""
    strength_YX = response_IOYX.abs().amax(dim=(0, 1))
    cells = strength_YX.shape[0] // factor
    strength_nn = strength_YX.reshape(cells, factor, cells, factor).amax(dim=(1, 3))
    places = (strength_nn > NEGLIGIBLE * strength_nn.max()).nonzero()
    return int((places - cells // 2).abs().max()) if len(places) else 0

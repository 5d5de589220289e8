"""What lines a scene can leave in a map without any upsampling: its own, and those that a nonlinearity makes of them.

Stripes of frequency f have a line at f in the image. Behind a convolution and a ReLU they have lines at 2f, 3f, 4f, ...
as well, at harmonics of a stride too: stripes of 8 pixels have one at 1/2. So a scene is looked at as the first layers
of a network may: mixtures of colours, smoothed or differentiated, then rectified. Rectified at the mean, a wave has its
even multiples, at one standard deviation above the mean also the odd ones.

The limit: it is one nonlinearity behind one of four small filters, each the largest line that any of them has. A line
that a network makes much stronger against what lies beside it is taken for a pattern.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.checkerboard.spectrum import Spectrum, power_spectrum

COLOUR_MIXTURES = torch.tensor(
    [[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, -1, 0], [0, 1, -1], [1, 0, -1], [1, 1, 1]],
)
FILTERS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda maps: maps,
    lambda maps: F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False),
    lambda maps: maps - maps.roll(1, dims=-1),
    lambda maps: maps - maps.roll(1, dims=-2),
)
THRESHOLDS = (0.0, 1.0)
"""Where maps are rectified: standard deviations above their mean."""

Lines = Mapping[int, Tensor]
"""Period -> (s, s): how many times the power beside each harmonic lies at it (Spectrum.lines)."""
Cut = Callable[[Tensor], Tensor]


def image_lines(images_NCHW: Tensor, periods: Sequence[int], cut: Cut) -> Lines:
    """The largest lines of any mixture of the colours, as it is and behind any filter and threshold; of the spectra
    averaged over images, each `cut` behind the filter."""
    found = [spectrum_lines(_powers(images_NCHW, cut), periods)]
    for filtered in FILTERS:
        for threshold in THRESHOLDS:
            view = _rectified(filtered, threshold, cut)
            found.append(spectrum_lines(_powers(images_NCHW, view), periods))
    return strongest(found)


def spectrum_lines(powers: Iterable[Tensor], periods: Sequence[int]) -> Lines:
    """The largest lines of any of the power spectra (H, W), for the periods that they measure."""
    spectra = [Spectrum(power) for power in powers]
    return strongest({s: spectrum.lines(s) for s in periods if spectrum.measures(s)} for spectrum in spectra)


def strongest(scenes: Iterable[Lines]) -> Lines:
    """The largest lines of any scene."""
    found: dict[int, Tensor] = {}
    for lines in scenes:
        for period, lines_ss in lines.items():
            found[period] = torch.maximum(found[period], lines_ss) if period in found else lines_ss
    return found


def _powers(images_NCHW: Tensor, view: Cut) -> Tensor:
    """(K, H, W): the power spectrum of each mixture of colours behind `view`; image by image, to spare memory."""
    power: Tensor | float = 0.0
    for image_CHW in images_NCHW:
        maps = view(torch.einsum("kc,chw->khw", COLOUR_MIXTURES.to(image_CHW), image_CHW)[None])
        power = power + torch.stack([power_spectrum(maps[:, k : k + 1]) for k in range(maps.shape[1])])
    assert isinstance(power, Tensor)
    return power / len(images_NCHW)


def _rectified(filtered: Callable[[Tensor], Tensor], threshold: float, cut: Cut) -> Cut:
    def view(maps_NKHW: Tensor) -> Tensor:
        maps = cut(filtered(maps_NKHW))
        mean, deviation = maps.mean(dim=(-2, -1), keepdim=True), maps.std(dim=(-2, -1), correction=0, keepdim=True)
        return (maps - mean - threshold * deviation).abs()

    return view

"""Checkerboards: what upsampling does to a constant, a feature, a prediction, in theory and in a trained network.

theory/ tells without training what an operator or a chain of them leaves where (`segsuite inspect --checkerboard`).
measure.py measures a network on images: spectrum.py and phases.py on maps (features behind each seam, class-centred
logits, probabilities, the energy of the gradient by the image), constant_response.py on constant scenes,
predictions.py on class ids. MEASURES says what each figure is. A figure stands beside its control, what it would be
without an artefact: the difference of the two is the finding. This module imports neither torch nor numpy.

Controls. Of harmonics: the bins beside them, times what lines the image, rectified or not, and the label have there, so
that a periodic texture raises no false alarm. Of phase variances: the value on a lattice of period s + 1, which no
operator has (of whole maps at least the floor of white noise), and of what it has above the part that these lines
explain. Of predictions: the label's value, or what the border of the image does. Of the constant response: the next
cell, which is nearer to the border.
"""

from typing import NamedTuple

VERSION = 2
"""Of artefacts.json."""
RENEWED_CONTROLS = ("harmonic_share", "harmonic_decibels", "static_phase_variance", "tile_phase_variance")
"""Measures whose control is another one in version 1: those rows are not shown beside rows of today."""


class Measure(NamedTuple):
    """What a figure is; `null`: its value without an artefact, where the row's control does not say."""

    title: str
    unit: str
    null: float
    better: str
    definition: str
    source: str


MEASURES: dict[str, Measure] = {
    "harmonic_share": Measure(
        "Share of power at harmonics",
        "share of the power without the mean, 0..1",
        0.0,
        "lower",
        "Power of the Hann-windowed 2-D spectrum in boxes around the frequencies (a/s, b/s), (a, b) not (0, 0).",
        "Strang, Fix 1971 (zeros at these frequencies); Durall et al. 2020 (spectra of upsampled images)",
    ),
    "harmonic_decibels": Measure(
        "Harmonics over their neighbours",
        "dB",
        0.0,
        "lower",
        "Power in the boxes around the harmonics over that of equal boxes beside them; each at least 1e-8 of all.",
        "as harmonic_share",
    ),
    "static_phase_variance": Measure(
        "Variance of the phase means",
        "share of the variance, 0..1",
        0.0,
        "lower",
        "Variance between the means of the s x s phases of a whole map over its variance: a pattern equal everywhere.",
        "Parseval's theorem: power at the harmonics alone",
    ),
    "tile_phase_variance": Measure(
        "Variance of the phase means in tiles",
        "share of the variance in a tile, below 1",
        0.0,
        "lower",
        "The same within tiles of 4 x 4 cells without their plane, debiased: a pattern that changes over the image.",
        "Parseval's theorem, on tiles",
    ),
    "phase_energy_variation": Measure(
        "Variation of the gradient's energy over phases",
        "standard deviation over mean",
        0.0,
        "lower",
        "How unevenly the s x s phases of the input move the logits: energy of the gradient of a random sum of logits.",
        "Odena et al. 2016, Deconvolution and checkerboard artifacts (distill), on gradients",
    ),
    "constant_response_index": Measure(
        "Constant-response index",
        "share of the variance of the logits",
        0.0,
        "lower",
        "Variance over the S x S phases of the class-centred logits that the decoder gives features constant in space.",
        "Sugawara, Shiota, Kiya 2018, arXiv 1806.02658 (response to a unit step)",
    ),
    "constant_response_flips": Measure(
        "Classes that flip on a constant scene",
        "share of pixels, 0..1",
        0.0,
        "lower",
        "Share of the S x S phases whose class differs from the most frequent one, for features constant in space.",
        "as constant_response_index, on predictions",
    ),
    "shift_flips": Measure(
        "Classes that flip under a shift of one pixel",
        "share of pixels, 0..1",
        0.0,
        "lower",
        "Share of inner pixels whose class changes when the image is moved by (1, 1) and the prediction back.",
        "Zhang 2019, Making convolutional networks shift-invariant again, arXiv 1904.11486",
    ),
    "isolated_pixels": Measure(
        "Isolated pixels",
        "share of pixels, 0..1",
        0.0,
        "lower",
        "Share of pixels predicted otherwise than all four neighbours.",
        "this suite",
    ),
    "boundary_length_ratio": Measure(
        "Length of borders, prediction over label",
        "ratio",
        1.0,
        "nearer to 1",
        "Neighbours of different classes in the predictions over those in the labels; void is taken from the label.",
        "this suite",
    ),
    "blockiness": Measure(
        "Blockiness of borders",
        "total variation distance, 0..1 - 1/s",
        0.0,
        "lower",
        "How unevenly the borders between predicted classes spread over the s phases of rows and columns.",
        "this suite; labels enlarged s times by repetition have 1 - 1/s",
    ),
}

"""Counting softmax into histograms: every labelled pixel, in its bin, whatever the batch looks like."""

import numpy as np
import pytest
import torch

from segsuite.errors import DataError
from segsuite.metrics.confusion import confusion_matrix, predict
from segsuite.metrics.histograms import BINS, EDGES, Histograms
from segsuite.metrics.probabilities import ProbabilityCounter, bin_of

VOID = 255


def batch(classes: int = 5, seed: int = 0, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (3, C, 9, 11) and labels with void."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(3, classes, 9, 11, generator=generator)
    labels = torch.randint(0, classes, (3, 9, 11), generator=generator, dtype=torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = VOID
    return logits, labels


def counted(logits: torch.Tensor, labels: torch.Tensor) -> Histograms:
    counter = ProbabilityCounter(logits.shape[1])
    counter.add(logits, predict(logits), labels)
    return counter.histograms()


def place_of(probability: float) -> int:
    """The bin by a search: lower edges belong to it below one half, upper ones from there on."""
    return int(np.searchsorted(EDGES, probability, side="right" if probability < 0.5 else "left")) - 1


def test_edges_rise_from_0_to_1_and_are_symmetric() -> None:
    assert (EDGES[0], EDGES[-1], len(EDGES)) == (0.0, 1.0, BINS + 1)
    assert (np.diff(EDGES) > 0).all()
    np.testing.assert_array_equal(EDGES, 1 - EDGES[::-1])


def test_no_bin_is_wider_than_a_64th_of_the_distance_to_0_or_1() -> None:
    inner = slice(1, BINS - 1)
    nearer = np.minimum(EDGES[1:-2], 1 - EDGES[2:-1])
    assert (np.diff(EDGES)[inner] <= nearer / 64).all()


@pytest.mark.parametrize("spread", ["uniform", "near 0", "near 1", "edges"])
def test_each_probability_is_put_into_the_bin_that_holds_it(spread: str) -> None:
    uniform = torch.rand(300, generator=torch.Generator().manual_seed(1))
    values = {
        "uniform": uniform,
        "near 0": uniform**12,
        "near 1": 1 - uniform**12,
        "edges": torch.from_numpy(EDGES[::7]).float(),
    }[spread]
    assert bin_of(values).tolist() == [place_of(float(value)) for value in values]


def test_0_1_and_one_half_have_bins() -> None:
    middle = BINS // 2
    assert bin_of(torch.tensor([0.0, 1e-40, 0.5, 1.0])).tolist() == [0, 0, middle - 1, BINS - 1]


def test_counts_are_those_of_a_loop_over_pixels() -> None:
    logits, labels = batch()
    expected_class, expected_top = np.zeros((5, 2, BINS), int), np.zeros((2, BINS), int)
    probabilities = torch.softmax(logits, 1)
    for n in range(3):
        for y, x in np.ndindex(9, 11):
            label, found = int(labels[n, y, x]), probabilities[n, :, y, x].tolist()
            if label == VOID:
                continue
            for k in range(5):
                expected_class[k, int(label == k), place_of(found[k])] += 1
            best = int(np.argmax(found))
            expected_top[int(best == label), place_of(found[best])] += 1
    histograms = counted(logits, labels)
    np.testing.assert_array_equal(histograms.of_class, expected_class)
    np.testing.assert_array_equal(histograms.of_top, expected_top)


def test_right_predictions_are_the_diagonal_of_the_confusion_matrix() -> None:
    logits, labels = batch(7)
    matrix = confusion_matrix(predict(logits), labels, 7)
    histograms = counted(logits, labels)
    assert histograms.of_top[1].sum() == matrix.trace()
    assert histograms.of_class[:, 1].sum(axis=1).tolist() == matrix.sum(1).tolist()
    assert histograms.pixels == matrix.sum()


def test_void_pixels_count_nowhere() -> None:
    logits, labels = batch()
    changed = torch.where((labels == VOID)[:, None], 50 * logits.flip(1), logits)
    np.testing.assert_array_equal(counted(logits, labels).of_class, counted(changed, labels).of_class)
    np.testing.assert_array_equal(counted(logits, labels).of_top, counted(changed, labels).of_top)


def test_only_void_counts_nothing() -> None:
    logits, labels = batch()
    assert counted(logits, torch.full_like(labels, VOID)).pixels == 0


def test_batches_and_memory_formats_add_up_to_the_same() -> None:
    logits, labels = batch()
    counter = ProbabilityCounter(5)
    for place in (2, 0, 1):
        one = logits[place : place + 1].to(memory_format=torch.channels_last)
        counter.add(one, predict(one), labels[place : place + 1])
    np.testing.assert_array_equal(counter.histograms().of_class, counted(logits, labels).of_class)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_labels_may_be_of_any_integer_type(dtype: torch.dtype) -> None:
    logits, labels = batch()
    np.testing.assert_array_equal(counted(logits, labels.to(dtype)).of_class, counted(logits, labels).of_class)


def test_softmax_of_narrow_logits_is_taken_in_fp32() -> None:
    logits, labels = batch()
    narrow = logits.bfloat16()
    np.testing.assert_array_equal(counted(narrow, labels).of_class, counted(narrow.float(), labels).of_class)


def test_extreme_logits_have_bins() -> None:
    _, labels = batch()
    logits = torch.full((3, 5, 9, 11), -1e4)
    logits[:, 2] = 1e4
    histograms = counted(logits, labels)
    assert histograms.of_top[:, -1].sum() == histograms.pixels == (labels != VOID).sum()
    assert histograms.of_class[3, :, 0].sum() == histograms.pixels


def test_an_unknown_label_is_named() -> None:
    logits, labels = batch()
    labels[1, 2, 3] = 9
    with pytest.raises(DataError, match="label 9"):
        counted(logits, labels)


def test_histograms_come_back_from_their_arrays() -> None:
    first = counted(*batch())
    again = Histograms.from_arrays(first.arrays())
    np.testing.assert_array_equal(again.of_class, first.of_class)
    np.testing.assert_array_equal(again.of_top, first.of_top)


def test_histograms_of_other_bins_are_refused() -> None:
    arrays = counted(*batch()).arrays()
    with pytest.raises(ValueError, match="other edges"):
        Histograms.from_arrays(arrays | {"edges": EDGES**2})
    with pytest.raises(ValueError, match="histograms are"):
        Histograms.from_arrays(arrays | {"of_top": arrays["of_top"][:, 1:]})


@pytest.mark.cuda
def test_a_gpu_counts_the_same_under_deterministic_algorithms() -> None:
    logits, labels = batch(7)
    counter = ProbabilityCounter(7, "cuda")
    torch.use_deterministic_algorithms(True)
    try:
        counter.add(logits.cuda(), predict(logits).cuda(), labels.cuda())
    finally:
        torch.use_deterministic_algorithms(False)
    found, expected = counter.histograms(), counted(logits, labels)
    # Softmax may round otherwise there: a probability at the edge of a bin may lie on its other side.
    assert np.abs(found.of_class - expected.of_class).sum() <= 20
    np.testing.assert_array_equal(found.of_top.sum(axis=1), expected.of_top.sum(axis=1))

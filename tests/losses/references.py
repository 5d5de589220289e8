"""Every loss once more, from its paper: float64, plain loops over pixels and classes, nothing of segsuite."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Numbers = list[float] | None
VOID = 255


def softmax(z: Array) -> Array:
    powers = np.exp(z - z.max())
    return np.asarray(powers / powers.sum())


def valid_pixels(logits: Array, labels: Array) -> Iterator[tuple[tuple[int, int, int], int, Array]]:
    """Place, label and softmax of every pixel that is not void."""
    for n, i, j in np.ndindex(*labels.shape):
        if labels[n, i, j] != VOID:
            yield (n, i, j), int(labels[n, i, j]), softmax(logits[n, :, i, j])


def quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0


def weighted_mean(values: list[tuple[float, float]]) -> float:
    """Of (weight, value)."""
    return quotient(sum(w * v for w, v in values), sum(w for w, _ in values))


def of_pixels(logits: Array, labels: Array, value: Callable[[int, Array], float], weights: Numbers = None) -> float:
    return weighted_mean([(weights[y] if weights else 1.0, value(y, p)) for _, y, p in valid_pixels(logits, labels)])


def cross_entropy(logits: Array, labels: Array, label_smoothing: float = 0.0, class_weights: Numbers = None) -> float:
    total = weight = 0.0
    for _, y, p in valid_pixels(logits, labels):
        w = class_weights or [1.0] * len(p)
        target = [label_smoothing / len(p) + (1 - label_smoothing) * (c == y) for c in range(len(p))]
        total += -sum(target[c] * w[c] * math.log(p[c]) for c in range(len(p)))
        weight += w[y]
    return quotient(total, weight)


def focal(logits: Array, labels: Array, gamma: float = 2.0, alpha: Numbers = None) -> float:
    return of_pixels(logits, labels, lambda y, p: (alpha[y] if alpha else 1.0) * (1 - p[y]) ** gamma * -math.log(p[y]))


def poly_cross_entropy(logits: Array, labels: Array, epsilon: float = 1.0, class_weights: Numbers = None) -> float:
    return of_pixels(logits, labels, lambda y, p: -math.log(p[y]) + epsilon * (1 - p[y]), class_weights)


def hardest(logits: Array, labels: Array, keep: Callable[[list[float]], int], weights: Numbers) -> float:
    pixels = sorted((-math.log(p[y]), y) for _, y, p in valid_pixels(logits, labels))[::-1]
    kept = pixels[: keep([loss for loss, _ in pixels])]
    return weighted_mean([(weights[y] if weights else 1.0, loss) for loss, y in kept])


def topk_cross_entropy(logits: Array, labels: Array, fraction: float = 0.1, class_weights: Numbers = None) -> float:
    return hardest(logits, labels, lambda losses: max(1, round(fraction * len(losses))), class_weights)


def ohem_cross_entropy(
    logits: Array,
    labels: Array,
    threshold: float = 0.7,
    min_kept_fraction: float = 0.0625,
    class_weights: Numbers = None,
) -> float:
    def keep(losses: list[float]) -> int:
        below = sum(math.exp(-loss) < threshold for loss in losses)
        return max(below, 1, round(min_kept_fraction * len(losses)))

    return hardest(logits, labels, keep, class_weights)


def logit_adjusted_cross_entropy(logits: Array, labels: Array, pixel_counts: list[float], tau: float = 1.0) -> float:
    counts = [max(1.0, count) for count in pixel_counts]
    adjusted = logits + np.array([tau * math.log(count / sum(counts)) for count in counts])[:, None, None]
    return cross_entropy(adjusted, labels)


def class_balanced_cross_entropy(
    logits: Array, labels: Array, pixel_counts: list[float], beta: float = 1 - 1e-7
) -> float:
    raw = [(1 - beta) / (1 - beta**n) if n else 0.0 for n in pixel_counts]
    mean = sum(raw) / sum(n > 0 for n in pixel_counts)
    return of_pixels(logits, labels, lambda y, p: raw[y] / mean * -math.log(p[y]))


def recall_weighted_cross_entropy(logits: Array, labels: Array) -> float:
    pixels = [(y, p) for _, y, p in valid_pixels(logits, labels)]

    def missed(c: int) -> float:
        of_class = [p for y, p in pixels if y == c]
        return max(1, sum(int(p.argmax()) != c for p in of_class)) / len(of_class)

    return of_pixels(logits, labels, lambda y, p: missed(y) * -math.log(p[y]))


def border_pixels(label: Array) -> list[tuple[int, int]]:
    height, width = label.shape
    return [
        (i, j)
        for i, j in product(range(height), range(width))
        for v, u in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))
        if 0 <= v < height and 0 <= u < width and len({VOID, int(label[i, j]), int(label[v, u])}) == 3
    ]


def boundary_weighted_cross_entropy(
    logits: Array, labels: Array, w0: float = 10.0, sigma: float = 5.0, class_weights: Numbers = None
) -> float:
    borders = [border_pixels(label) for label in labels]
    values = []
    for (n, i, j), y, p in valid_pixels(logits, labels):
        distance = min((math.hypot(i - v, j - u) for v, u in borders[n]), default=math.inf)
        weight = (class_weights[y] if class_weights else 1.0) + w0 * math.exp(-((2 * distance) ** 2) / (2 * sigma**2))
        values.append((1.0, weight * -math.log(p[y])))
    return weighted_mean(values)


def boundary(logits: Array, labels: Array) -> float:
    n_classes = logits.shape[1]

    def signed(n: int, c: int, i: int, j: int) -> float:
        region = {(v, u) for v, u in np.ndindex(*labels[n].shape) if labels[n, v, u] == c}
        outside = set(np.ndindex(*labels[n].shape)) - region
        if not region or not outside:
            return 0.0
        if (i, j) in region:
            return 1 - min(math.hypot(i - v, j - u) for v, u in outside)
        return min(math.hypot(i - v, j - u) for v, u in region)

    values = [
        (1.0, sum(signed(n, c, i, j) * (p[c] - (c == y)) for c in range(n_classes)))
        for (n, i, j), y, p in valid_pixels(logits, labels)
    ]
    return weighted_mean(values)


Score = Callable[[float, float, float], float]


def of_regions(
    logits: Array,
    labels: Array,
    loss: Score,
    per_image: bool = False,
    average: str = "present",
    class_weights: Numbers = None,
    power: int = 1,
) -> float:
    """Mean over images, or of the whole batch, of the mean over classes of loss(overlap, mass, count)."""
    groups = [[n] for n in range(len(labels))] if per_image else [list(range(len(labels)))]
    of_groups = []
    for group in groups:
        overlap, mass, count = (np.zeros(logits.shape[1]) for _ in range(3))
        for (n, _, _), y, p in valid_pixels(logits, labels):
            if n in group:
                overlap[y] += p[y]
                mass += p**power
                count[y] += 1
        if count.sum():
            classes = [c for c in range(len(count)) if average == "all" or count[c]]
            weights = class_weights or [1.0] * len(count)
            of_groups.append(weighted_mean([(weights[c], loss(overlap[c], mass[c], count[c])) for c in classes]))
    return quotient(sum(of_groups), len(of_groups))


def dice(logits: Array, labels: Array, smooth: float = 0.0, squared: bool = False, **settings: Any) -> float:
    def loss(i: float, m: float, t: float) -> float:
        return 1 - (2 * i + smooth) / (m + t + smooth)

    return of_regions(logits, labels, loss, power=1 + squared, **settings)


def jaccard(logits: Array, labels: Array, smooth: float = 0.0, squared: bool = False, **settings: Any) -> float:
    def loss(i: float, m: float, t: float) -> float:
        return 1 - (i + smooth) / (m + t - i + smooth)

    return of_regions(logits, labels, loss, power=1 + squared, **settings)


def tversky(
    logits: Array, labels: Array, alpha: float = 0.3, beta: float = 0.7, smooth: float = 0.0, **settings: Any
) -> float:
    return focal_tversky(logits, labels, alpha, beta, 1.0, smooth, **settings)


def focal_tversky(
    logits: Array,
    labels: Array,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    smooth: float = 0.0,
    **settings: Any,
) -> float:
    def loss(i: float, m: float, t: float) -> float:
        return (1 - (i + smooth) / (i + alpha * (m - i) + beta * (t - i) + smooth)) ** (1 / gamma)

    return of_regions(logits, labels, loss, **settings)


def generalised_dice(logits: Array, labels: Array, weights: str = "square", per_image: bool = False) -> float:
    groups = [[n] for n in range(len(labels))] if per_image else [list(range(len(labels)))]
    of_groups = []
    for group in groups:
        above = below = 0.0
        for c in range(logits.shape[1]):
            pixels = [(y, p) for (n, _, _), y, p in valid_pixels(logits, labels) if n in group]
            count = sum(y == c for y, _ in pixels)
            if count:
                weight = {"square": 1 / count**2, "simple": 1 / count, "uniform": 1.0}[weights]
                above += 2 * weight * sum(p[c] for y, p in pixels if y == c)
                below += weight * (count + sum(p[c] for _, p in pixels))
        of_groups += [1 - above / below] if below else []
    return quotient(sum(of_groups), len(of_groups))


def lovasz_softmax(logits: Array, labels: Array, per_image: bool = False, average: str = "present") -> float:
    """Berman et al. 2018, equations 6 to 9: the Jaccard loss of sets of mispredicted pixels, extended."""

    def extension(c: int, pixels: list[tuple[int, Array]]) -> float:
        errors = [1 - p[c] if y == c else p[c] for y, p in pixels]
        of_class = {k for k, (y, _) in enumerate(pixels) if y == c}
        order = sorted(range(len(errors)), key=lambda k: -errors[k])

        def set_loss(wrong: set[int]) -> float:
            return quotient(len(wrong), len(of_class | wrong))

        sets = [set(order[:k]) for k in range(len(order) + 1)]
        return sum(
            errors[k] * (set_loss(after) - set_loss(before))
            for k, (before, after) in zip(order, pairwise(sets), strict=True)
        )

    groups = [[n] for n in range(len(labels))] if per_image else [list(range(len(labels)))]
    of_groups = []
    for group in groups:
        pixels = [(y, p) for (n, _, _), y, p in valid_pixels(logits, labels) if n in group]
        classes = [c for c in range(logits.shape[1]) if average == "all" or any(y == c for y, _ in pixels)]
        if pixels:
            of_groups.append(sum(extension(c, pixels) for c in classes) / len(classes))
    return quotient(sum(of_groups), len(of_groups))


def unified_focal(
    logits: Array,
    labels: Array,
    rare_classes: list[int],
    tversky_share: float = 0.5,
    delta: float = 0.6,
    gamma: float = 0.5,
    per_image: bool = False,
) -> float:
    def pixel(y: int, p: Array) -> float:
        return -delta * math.log(p[y]) if y in rare_classes else (1 - delta) * (1 - p[y]) ** gamma * -math.log(p[y])

    groups = [[n] for n in range(len(labels))] if per_image else [list(range(len(labels)))]
    of_groups = []
    for group in groups:
        pixels = [(y, p) for (n, _, _), y, p in valid_pixels(logits, labels) if n in group]
        of_classes = []
        for c in sorted({y for y, _ in pixels}):
            hit = sum(p[c] for y, p in pixels if y == c)
            missed = sum(1 - p[c] for y, p in pixels if y == c)
            false = sum(p[c] for y, p in pixels if y != c)
            loss = 1 - hit / (hit + delta * missed + (1 - delta) * false)
            of_classes.append(loss ** (1 - gamma) if c in rare_classes else loss)
        of_groups += [sum(of_classes) / len(of_classes)] if of_classes else []
    region = quotient(sum(of_groups), len(of_groups))
    return tversky_share * region + (1 - tversky_share) * of_pixels(logits, labels, pixel)


def sum_of(logits: Array, labels: Array, terms: list[dict[str, Any]]) -> float:
    total = 0.0
    for term in terms:
        settings = {key: value for key, value in term.items() if key not in ("name", "weight")}
        total += term.get("weight", 1.0) * REFERENCES[term["name"]](logits, labels, **settings)
    return total


REFERENCES: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        *(boundary, boundary_weighted_cross_entropy, class_balanced_cross_entropy, cross_entropy, dice, focal),
        *(focal_tversky, generalised_dice, jaccard, logit_adjusted_cross_entropy, lovasz_softmax),
        *(ohem_cross_entropy, poly_cross_entropy, recall_weighted_cross_entropy, topk_cross_entropy, tversky),
        unified_focal,
    )
} | {"sum": sum_of}

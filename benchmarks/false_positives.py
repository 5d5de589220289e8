"""How often a verdict is wrong: arms without a difference, made-up counts, judged as a report judges them.

Every replicate draws the TP, FP and FN of `images` images in trials of `arms` x `seeds`, and gives them to
`segsuite.stats.compare`. Per image and class the share of right pixels is the logistic function of
    1.2 + image + image x arm + seed x arm (of all classes, and of each) + image x seed x arm,
all normal but where a setting says otherwise; missed pixels are spread over the classes of the image by their size. The
size of a class in an image is lognormal; a rare class is in as many images as the setting says.

Columns. `rejected`: evidence at nominal 5 % though the arms do not differ (several arms: for any of them, after Holm).
`covered`: 95 % intervals that hold the true difference, of arms that differ by `shift` on the logit. Both of the
verdicts that are given; `withheld`: of how many none is given. `power`: evidence of that shift (after Holm). `t
rejected`, `t power`: of a paired t test over the seeds, images taken as fixed. Settings in which one arm alone has its
effects in few images or of a skewed kind differ truly: `rejected` is there how often the true difference is rejected.

A setting is held when at most 7 % are rejected and at least 92 % covered, withheld when it never gets a verdict, and
FAILED otherwise.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped]

from segsuite.stats import TWO_WAY, Arms, Effect, compare, compare_classes, holm, linearise

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

ALPHA, MOST_REJECTED, LEAST_COVERED = 0.05, 0.07, 0.92
CHUNK = 100


@dataclass(frozen=True)
class Setting:
    """`rare`: number of images that hold the last class; None: all. `image_sd`, `seed_sd`, `residual_sd`: of image x
    arm, seed x arm and the rest, on the logit. `effects`: how image x arm is distributed; "few": large in 3 % of the
    images and small elsewhere. `one_arm`: in the second arm alone. `unequal`: seed_sd of all arms but the first, by its
    own."""

    name: str
    images: int = 100
    classes: int = 5
    rare: int | None = None
    image_sd: float = 0.8
    seed_sd: float = 0.1
    residual_sd: float = 0.4
    effects: str = "normal"
    one_arm: bool = False
    unequal: float = 1.0
    seeds: int = 3
    arms: int = 2
    shift: float = 0.35
    score: str = "miou"
    """Of SCALAR_SCORES, or "iou": that of the last class."""


def settings() -> list[Setting]:
    """The table's rows."""
    rows = [Setting("all classes in all images"), Setting("the same", image_sd=0.4), Setting("the same", image_sd=1.2)]
    rows += [
        Setting(f"a class in {rare} of 100 images", rare=rare, image_sd=sd)
        for rare in (3, 4, 10, 30)
        for sd in (0.4, 0.8, 1.2)
    ]
    rows += [
        Setting("two classes, one in 4 images", rare=4, classes=2, image_sd=1.2),
        Setting("8 images", images=8),
        Setting("t3 effects of images", effects="t3"),
        Setting("t3, a class in 4 images", effects="t3", rare=4),
        Setting("lognormal effects", effects="lognormal"),
        Setting("lognormal, a class in 4 images", effects="lognormal", rare=4),
        Setting("lognormal in one arm only", effects="lognormal", one_arm=True),
        Setting("effects in 3 % of the images", effects="few", image_sd=3.0),
        Setting("in 3 %, of one arm only", effects="few", image_sd=3.0, one_arm=True),
        Setting("seeds 3 times as uneven in one arm", unequal=3.0, image_sd=0.4, shift=0.7),
        Setting("the same, a class in 4 images", unequal=3.0, rare=4, image_sd=1.2, shift=0.7),
        Setting("seeds as much as images", seed_sd=0.2, shift=0.6),
        Setting("seeds dominate", seed_sd=0.5, image_sd=0.1, shift=1.5),
        Setting("the same, a class in 4 images", seed_sd=0.5, image_sd=0.4, rare=4, shift=1.5),
    ]
    for seeds in (5, 10):
        rows += [
            Setting("all classes in all images", seeds=seeds),
            Setting("a class in 3 of 100 images", seeds=seeds, rare=3, image_sd=1.2),
            Setting("a class in 4 of 100 images", seeds=seeds, rare=4, image_sd=1.2),
            Setting("a class in 10 of 100 images", seeds=seeds, rare=10, image_sd=1.2),
            Setting("lognormal effects", seeds=seeds, effects="lognormal"),
        ]
    rows += [
        Setting("six arms, all classes in all images", arms=6),
        Setting("six arms, a class in 3 images", arms=6, rare=3, image_sd=1.2),
        Setting("six arms, a class in 10 images", arms=6, rare=10, image_sd=0.8),
        Setting("six arms, a class in 4 images", arms=6, rare=4, image_sd=1.2),
        Setting("six arms, 10 seeds, a class in 4", arms=6, rare=4, image_sd=1.2, seeds=10),
        Setting("six arms, two classes, one in 4", arms=6, rare=4, classes=2, image_sd=1.2, seeds=5),
    ]
    rows += [Setting(f"IoU of a class in {rare} images", rare=rare, image_sd=1.2, score="iou") for rare in (4, 10, 100)]
    rows += [
        Setting("pixel accuracy, a class in 3 images", rare=3, image_sd=1.2, score="pixel_accuracy"),
        Setting("weighted IoU, a class in 3 images", rare=3, image_sd=1.2, score="frequency_weighted_iou"),
        Setting("mean Dice, a class in 4 images", rare=4, image_sd=1.2, score="mean_dice"),
        Setting("mean accuracy, a class in 4 images", rare=4, image_sd=1.2, score="mean_accuracy"),
    ]
    return rows


def draw(random: np.random.Generator, one: Setting, shift: float, replicates: int) -> Counts:
    """int64 (replicates, arms, seeds, images, classes, 3); all arms but the first have `shift` on the logit."""
    images, classes, arms = one.images, one.classes, one.arms
    shape = (replicates, arms, one.seeds, images, classes)
    size = np.rint(2000 * np.exp(random.normal(0, 1, (replicates, 1, 1, images, classes))))
    if one.rare is not None:
        size[..., one.rare :, -1] = 0
    logit = 1.2 + random.normal(0, 0.5, size.shape) + _image_x_arm(random, one, (*shape[:2], 1, *shape[3:]))
    scale = np.where(np.arange(arms) == 0, 1.0, one.unequal)[:, None, None, None] * one.seed_sd
    logit = logit + scale * (random.normal(size=(*shape[:3], 1, classes)) + random.normal(size=(*shape[:3], 1, 1)))
    logit += random.normal(0, one.residual_sd, shape)
    logit[:, 1:] += shift
    true = np.rint(special.expit(logit) * size)
    missed = size - true
    share = size / np.maximum(size.sum(axis=-1, keepdims=True), 1)
    wrong = np.rint(missed.sum(axis=-1, keepdims=True) * share)
    return np.stack([true, wrong, missed], axis=-1).astype(np.int64)


def _image_x_arm(random: np.random.Generator, one: Setting, shape: tuple[int, ...]) -> Floats:
    sd = one.image_sd
    if one.effects == "t3":
        effect: Floats = random.standard_t(3, shape) * sd / 3**0.5
    elif one.effects == "lognormal":
        # Minus: in a few images an arm is much worse. Mean 0, standard deviation sd.
        effect = -(np.exp(random.normal(size=shape)) - np.e**0.5) / ((np.e - 1) * np.e) ** 0.5 * sd
    elif one.effects == "few":
        hit = random.random((*shape[:-1], 1)) < 0.03
        effect = random.normal(0, 0.1, shape) + hit * (-sd if one.one_arm else random.normal(0, sd, shape))
    elif one.effects == "normal":
        effect = random.normal(0, sd, shape)
    else:
        raise ValueError(f"no effects of images are called {one.effects!r}")
    if one.one_arm:
        effect[:, 0] = random.normal(0, 0.1, effect[:, 0].shape)
    return effect


def judge(one: Setting, shift: float, replicates: int, seed: tuple[int, ...]) -> dict[str, Floats]:
    """What `compare` says of each replicate's arms against the first, and what a paired t over seeds does; all
    float64 (replicates, arms - 1): difference, low and high (NaN where withheld), p_holm (1 where withheld), t_p."""
    random = np.random.default_rng(seed)
    found: dict[str, list[list[float]]] = {name: [] for name in ("difference", "low", "high", "p_holm", "t_p")}
    for counts in draw(random, one, shift, replicates):
        arms = {str(arm): dict(enumerate(seeds)) for arm, seeds in enumerate(counts)}
        comparisons, adjusted = _compared(one, arms)
        given = [comparison.kind == TWO_WAY for comparison in comparisons]
        found["difference"].append([comparison.difference or 0.0 for comparison in comparisons])
        for name in ("low", "high"):
            found[name].append([getattr(c, name) if ok else np.nan for c, ok in zip(comparisons, given, strict=True)])
        found["p_holm"].append([1.0 if p is None else p for p in adjusted])
        label = one.classes - 1 if one.score == "iou" else None
        scores_AS = [[linearise(sums, one.score, label)[0] for sums in of_arm] for of_arm in counts.sum(2)[:, :, None]]
        D_AS = np.array(scores_AS[1:]) - scores_AS[0]
        t = D_AS.mean(axis=1) / (D_AS.std(axis=1, ddof=1) / one.seeds**0.5)
        found["t_p"].append(holm([float(p) for p in 2 * special.stdtr(one.seeds - 1, -np.abs(t))]))
    return {name: np.array(values) for name, values in found.items()}


def _compared(one: Setting, arms: Arms) -> tuple[Sequence[Effect], list[float | None]]:
    """The comparisons with the first arm, and their p after Holm."""
    if one.score == "iou":
        classes = [str(label) for label in range(one.classes)]
        found = [effect for effect in compare_classes(arms, "0", classes) if effect.label == one.classes - 1]
        return found, [effect.p for effect in found]
    comparisons = compare(arms, "0", one.score)
    return comparisons, [comparison.p_holm for comparison in comparisons]


def row(one: Setting, null: dict[str, Floats], shifted: dict[str, Floats]) -> dict[str, Any]:
    """The figures of a setting, shares of 1, and the verdict on it; None where there are no verdicts to count."""
    covered = _covers(shifted)
    given = np.isfinite(null["low"]).any(axis=1)
    rejected = ~_covers(null).all(axis=1) if one.one_arm else (null["p_holm"] < ALPHA).any(axis=1)
    covered = covered[np.isfinite(shifted["low"])]
    found: dict[str, Any] = {
        "rejected": float(rejected[given].mean()) if given.any() else None,
        "covered": float(covered.mean()) if covered.size else None,
        "withheld": float(1 - given.mean()),
        "power": float((shifted["p_holm"][:, 0] < ALPHA).mean()),
        "t_rejected": None if one.one_arm else float((null["t_p"] < ALPHA).any(axis=1).mean()),
        "t_power": float((shifted["t_p"][:, 0] < ALPHA).mean()),
    }
    if not given.any():
        found["verdict"] = "withheld"
    else:
        held = found["rejected"] <= MOST_REJECTED and found["covered"] >= LEAST_COVERED
        found["verdict"] = "held" if held else "FAILED"
    return found


def _covers(found: dict[str, Floats]) -> NDArray[np.bool_]:
    """Whether each interval holds the true difference, which is the mean over all replicates. NaN holds nothing."""
    true = found["difference"].mean()
    covers: NDArray[np.bool_] = (found["low"] <= true) & (true <= found["high"])
    return covers


def table(rows: list[Setting], replicates: int, seed: int, processes: int) -> Iterator[tuple[Setting, dict[str, Any]]]:
    """Each setting with its figures, as they are ready, in order."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        jobs = []
        for index, one in enumerate(rows):
            counts = [min(CHUNK, replicates - done) for done in range(0, replicates, CHUNK)]
            jobs.append(
                [
                    [
                        pool.submit(judge, one, shift, count, (seed, index, kind, part))
                        for part, count in enumerate(counts)
                    ]
                    for kind, shift in enumerate((0.0, one.shift))
                ]
            )
        for one, of_setting in zip(rows, jobs, strict=True):
            null, shifted = ([job.result() for job in parts] for parts in of_setting)
            yield one, row(one, _joined(null), _joined(shifted))


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--replicates", type=int, default=2000, help="a setting, once without and once with a difference"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", metavar="WORDS", help="the settings with these words in their name")
    parser.add_argument("--seed-sd", type=float, help="in place of every setting's own")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows = [one for one in settings() if options.only is None or options.only in one.name]
    if options.seed_sd is not None:
        rows = [replace(one, seed_sd=options.seed_sd) for one in rows]
    error = 100 * (ALPHA * (1 - ALPHA) / options.replicates) ** 0.5
    started, found = time.monotonic(), []
    if not options.json:
        print(f"{options.replicates} replicates a row; one standard error of a rate near 5 %: {error:.1f} points")
        print(
            f"{'setting':36}{'sd':>5}{'seeds':>6}{'rejected':>10}{'covered':>9}{'withheld':>10}{'power':>7}"
            f"{'t rejected':>12}{'t power':>9}"
        )
    for one, figures in table(rows, options.replicates, options.seed, options.processes):
        found.append(asdict(one) | figures)
        if options.json:
            print(f"{len(found)} of {len(rows)}, {time.monotonic() - started:.0f} s", file=sys.stderr)
        else:
            print(line(one, figures), flush=True)
    if options.json:
        print(json.dumps({"replicates": options.replicates, "standard_error": error / 100, "rows": found}, indent=1))
        return
    verdicts = [one["verdict"] for one in found]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in ("held", "withheld", "FAILED"))
    print(f"{counts}; {time.monotonic() - started:.0f} s")


def line(one: Setting, figures: dict[str, Any]) -> str:
    """A row of the printed table."""

    def shown(name: str, width: int) -> str:
        return f"{'-' if figures[name] is None else f'{100 * figures[name]:.1f}':>{width}}"

    return (
        f"{one.name:36}{one.image_sd:5.1f}{one.seeds:6}{shown('rejected', 10)}{shown('covered', 9)}"
        f"{shown('withheld', 10)}{shown('power', 7)}{shown('t_rejected', 12)}{shown('t_power', 9)}"
        f"  {figures['verdict']}"
    )


if __name__ == "__main__":
    main()

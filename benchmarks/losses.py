"""Losses against those of smp and naive forms, and fused with the enlargement of logits: time and peak memory.

ours: of the suite. smp: of segmentation-models-pytorch (its focal loss is another function, one sigmoid a class).
naive: the same formula as it is usually written, with a one-hot label where MONAI and the authors have one, otherwise
upon torch's cross entropy, and checked to give the same before it is timed. A sum is the sum of its parts there.
Times are of forward and backward: CPU time (wall time with more than one thread). Memory: how far one forward and
backward raises the peak resident memory of a fresh process, after one on a tiny image; the logits are 15 MiB.
Goal for the sum of three against smp: at least 6 times faster with a quarter of the memory.
The full-resolution tables, of 2 rounds, are those of `segsuite bench full_resolution_loss`.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import full_resolution_loss
import naive_losses as naive
import timing
import torch
from naive_losses import COUNTS, SMP, VOID, WEIGHTS, LossFunction, total
from torch import Tensor

from segsuite.losses import LOSSES, build_loss

SHAPE = (2, naive.CLASSES, 360, 480)
SMALL = (1, naive.CLASSES, 48, 48)
TINY = (1, naive.CLASSES, 48, 48)
BLOCK = 12
"""Height and width, in pixels, of the regions of the labels."""
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
ROUNDS = 5
FULL_RESOLUTION_ROUNDS = 2
CE, FOCAL, DICE = {"name": "cross_entropy"}, {"name": "focal"}, {"name": "dice"}


class Row(NamedTuple):
    """One loss of ours beside others, by name."""

    ours: LossFunction
    others: Mapping[str, LossFunction]

    @property
    def forms(self) -> dict[str, LossFunction]:
        return {"ours": self.ours, **self.others}


def row(*terms: dict[str, Any], **others: LossFunction) -> Row:
    return Row(build_loss(**terms[0]) if len(terms) == 1 else build_loss("sum", terms=terms), others)


ROWS = {
    "cross_entropy + focal + dice": row(
        *(CE, FOCAL, DICE),
        smp=total(naive.cross_entropy, SMP["focal"], SMP["dice"]),
        naive=total(naive.cross_entropy, naive.focal, naive.dice),
    ),
    "weighted cross_entropy + focal + dice": row(
        *(CE | {"class_weights": WEIGHTS}, FOCAL, DICE),
        smp=total(naive.weighted_cross_entropy, SMP["focal"], SMP["dice"]),
        naive=total(naive.weighted_cross_entropy, naive.focal, naive.dice),
    ),
    "cross_entropy + dice": row(
        *(CE, DICE), smp=total(naive.cross_entropy, SMP["dice"]), naive=total(naive.cross_entropy, naive.dice)
    ),
    "cross_entropy": row(CE, naive=naive.cross_entropy),
    "cross_entropy, class weights": row(CE | {"class_weights": WEIGHTS}, naive=naive.weighted_cross_entropy),
    "cross_entropy, smoothing 0.1": row(
        CE | {"label_smoothing": 0.1}, smp=SMP["smoothed"], naive=naive.smoothed_cross_entropy
    ),
    "focal": row(FOCAL, smp=SMP["focal"], naive=naive.focal),
    "poly_cross_entropy": row({"name": "poly_cross_entropy"}, naive=naive.poly),
    "ohem_cross_entropy": row({"name": "ohem_cross_entropy"}, naive=naive.ohem),
    "topk_cross_entropy": row({"name": "topk_cross_entropy"}, naive=naive.topk),
    "logit_adjusted_cross_entropy": row(
        {"name": "logit_adjusted_cross_entropy", "pixel_counts": COUNTS}, naive=naive.logit_adjusted
    ),
    "class_balanced_cross_entropy": row(
        {"name": "class_balanced_cross_entropy", "pixel_counts": COUNTS}, naive=naive.class_balanced
    ),
    "recall_weighted_cross_entropy": row({"name": "recall_weighted_cross_entropy"}, naive=naive.recall_weighted),
    "boundary_weighted_cross_entropy": row({"name": "boundary_weighted_cross_entropy"}, naive=naive.boundary_weighted),
    "boundary": row({"name": "boundary"}, naive=naive.boundary),
    "dice": row(DICE, smp=SMP["dice"], naive=naive.dice),
    "generalised_dice": row({"name": "generalised_dice"}, naive=naive.generalised_dice),
    "jaccard": row({"name": "jaccard"}, naive=naive.jaccard),
    "tversky": row({"name": "tversky"}, smp=SMP["tversky"], naive=naive.tversky),
    "focal_tversky": row({"name": "focal_tversky"}, naive=naive.focal_tversky),
    "lovasz_softmax": row({"name": "lovasz_softmax"}, smp=SMP["lovasz_softmax"], naive=naive.lovasz_softmax),
    "unified_focal": row({"name": "unified_focal", "rare_classes": [naive.CLASSES - 1]}, naive=naive.unified_focal),
}


def batch(shape: tuple[int, ...], layout: str) -> tuple[Tensor, Tensor]:
    """Random logits, and labels in blocks of which about a twentieth is void: the first rows. Logits are made in place,
    so that no memory was used before that a loss could use again."""
    generator = torch.Generator().manual_seed(0)
    n, c, height, width = shape
    logits_NCHW = torch.empty(shape, memory_format=LAYOUTS[layout]).normal_(generator=generator)
    blocks = torch.arange(n * (height // BLOCK) * (width // BLOCK)).view(n, height // BLOCK, width // BLOCK)
    labels_NHW = (blocks * 7 % c).repeat_interleave(BLOCK, 1).repeat_interleave(BLOCK, 2)
    labels_NHW[:, : -(-height // 20)] = VOID
    return logits_NCHW.requires_grad_(), labels_NHW


def step_of(loss: LossFunction, shape: tuple[int, ...], layout: str) -> Callable[[], float]:
    """Forward and backward; returns its seconds."""
    logits_NCHW, labels_NHW = batch(shape, layout)
    now = timing.clock(torch.get_num_threads())

    def step() -> float:
        start = now()
        torch.autograd.grad(loss(logits_NCHW, labels_NHW), logits_NCHW)
        return now() - start

    return step


def steps(
    title: str, form: str, shape: tuple[int, ...], layout: str, threads: int
) -> tuple[Callable[[], float], Callable[[], float]]:
    """A tiny step and the step itself, for a fresh process."""
    torch.set_num_threads(threads)
    loss = ROWS[title].forms[form]
    return step_of(loss, TINY, layout), step_of(loss, shape, layout)


def check_equal(title: str) -> None:
    """Raises AssertionError unless the naive form gives the same value and gradient."""
    logits_NCHW, labels_NHW = batch(SMALL, "contiguous")
    values = [ROWS[title].forms[form](logits_NCHW, labels_NHW) for form in ("ours", "naive")]
    torch.testing.assert_close(*values, rtol=1e-4, atol=1e-6, msg=lambda text: f"{title}: {text}")
    ours, other = (torch.autograd.grad(value, logits_NCHW)[0] for value in values)
    torch.testing.assert_close(ours, other, rtol=0, atol=1e-3 * float(other.abs().max()), msg=f"gradient of {title}")


def tables(options: argparse.Namespace) -> list[timing.Table]:
    """Times and memory of every row."""
    shape = SMALL if options.small else SHAPE
    seconds: dict[str, dict[str, list[float]]] = {}
    memory: dict[str, dict[str, list[float]]] = {}
    for place, (title, one) in enumerate(ROWS.items(), 1):
        timing.told(f"loss {place} of {len(ROWS)}: {title}")
        check_equal(title)
        forms = {form: step_of(loss, shape, options.layout) for form, loss in one.forms.items()}
        seconds[title] = timing.in_milliseconds(timing.side_by_side(forms, options.rounds))
        if not options.small or place == 1:
            arguments = (shape, options.layout, options.threads)
            memory[title] = {form: [timing.extra_mebibytes(steps, title, form, *arguments)] for form in one.forms}
    what = f"{' x '.join(map(str, shape))}, {options.layout}"
    return [
        timing.Table(f"Forward and backward of {what}", timing.MILLISECONDS, "ours", seconds),
        timing.Table(f"Peak extra memory, {what}", timing.MEBIBYTES, "ours", memory),
    ]


def main() -> None:
    parser = timing.options_of(__doc__, ROUNDS)
    parser.add_argument("--layout", choices=LAYOUTS, default="contiguous", help="of the logits; default: contiguous")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="without torch.compile of naive")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    timing.fresh_process_imports(["naive_losses", "segsuite.losses.weighted_sum", "segsuite.losses.full_resolution"])
    missing = set(LOSSES) - {"sum"} - {title.partition(",")[0] for title in ROWS}
    assert not missing, f"no row for {missing}"
    found = tables(options)
    few = min(options.rounds, FULL_RESOLUTION_ROUNDS)
    found += full_resolution_loss.tables(argparse.Namespace(**vars(options) | {"factor": 4, "rounds": few}))
    timing.show("losses", options, found)


if __name__ == "__main__":
    main()

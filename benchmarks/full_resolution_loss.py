"""Loss of bilinearly enlarged logits, forward and backward: enlarged first (naive) against fused with the enlargement.

Batch 4, 512 x 512, logits of 1 / factor of that, 19 and 150 classes. naive: F.interpolate, then torch's cross entropy,
and dice as it is usually written; compiled: torch.compile of naive, where there is a C++ compiler; direct:
F.interpolate, then the suite's loss; fused: the suite's `full_resolution: fused`. All are checked to give the same
before they are timed. Times: CPU time (wall time with more than one thread). Memory: how far one forward and backward
raises the peak resident memory of a fresh process, after one on tiny logits.
Goals: cross entropy in at most 1/4 of naive's extra memory at 19 classes and 1/10 at 150, 1.5 times as fast; cross
entropy + dice in at most 1/6.
"""

import argparse
import functools
import os
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import timing
import torch
from torch import Tensor
from torch.nn import functional as F

from segsuite.losses import build_loss, upsample_cross_entropy
from segsuite.losses.full_resolution import LowLogits, build_fused_loss

IMAGES, SIZE, VOID = 4, 512, 255
ROUNDS = 5
SETTINGS: dict[str, dict[str, Any]] = {
    "cross entropy": {"name": "cross_entropy"},
    "cross entropy + dice": {"name": "sum", "terms": [{"name": "cross_entropy"}, {"name": "dice"}]},
}
Loss = Callable[[Tensor, Tensor], Tensor]


class Case(NamedTuple):
    loss: str
    classes: int

    def __str__(self) -> str:
        return f"{self.loss}, {self.classes} classes"


CASES = [Case(loss, classes) for loss in SETTINGS for classes in (19, 150)]


def batch(case: Case, size: int, factor: int) -> tuple[Tensor, Tensor]:
    """Logits of 1 / factor of the size, and labels with a band of void, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    logits_NChw = torch.randn(IMAGES, case.classes, size // factor, size // factor, generator=generator)
    labels_NHW = torch.randint(0, case.classes, (IMAGES, size, size), generator=generator)
    labels_NHW[:, : size // 50] = VOID
    return logits_NChw.requires_grad_(), labels_NHW


def enlarged(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
    return F.interpolate(logits_NChw, labels_NHW.shape[1:], mode="bilinear", align_corners=False)


def naive_cross_entropy(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
    return F.cross_entropy(enlarged(logits_NChw, labels_NHW), labels_NHW, ignore_index=VOID)


def naive_sum(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
    """Without a one-hot tensor, which would cost naive as much again."""
    logits_NCHW = enlarged(logits_NChw, labels_NHW)
    valid_NHW = labels_NHW != VOID
    p_NCHW = logits_NCHW.softmax(1) * valid_NHW[:, None]
    labels = (labels_NHW * valid_NHW)[:, None]
    zeros_C = p_NCHW.new_zeros(p_NCHW.shape[1])
    overlap_C = zeros_C.scatter_add(0, labels.flatten(), p_NCHW.gather(1, labels).flatten())
    count_C = zeros_C.scatter_add(0, labels.flatten(), valid_NHW.flatten().to(p_NCHW.dtype))
    dice = 1 - (2 * overlap_C / (p_NCHW.sum((0, 2, 3)) + count_C)).mean()
    return F.cross_entropy(logits_NCHW, labels_NHW, ignore_index=VOID) + dice


NAIVE: dict[str, Loss] = {"cross entropy": naive_cross_entropy, "cross entropy + dice": naive_sum}


@functools.cache
def compiled(loss: str) -> Loss:
    # Its worker processes would outlive the fresh process that started them.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    # dynamic: compiled once, on the tiny logits, so that neither time nor memory is that of the compiler
    return torch.compile(NAIVE[loss], dynamic=True)


def forms_of(case: Case, with_compiled: bool, with_direct: bool) -> dict[str, Loss]:
    """The ways to compute a case's loss."""
    settings = SETTINGS[case.loss]
    whole, low = build_loss(**settings), build_fused_loss(**settings)

    def fused(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
        if case.loss == "cross entropy":
            return upsample_cross_entropy(logits_NChw, labels_NHW)
        return low(LowLogits(logits_NChw, (labels_NHW.shape[1], labels_NHW.shape[2])), labels_NHW)

    found: dict[str, Loss] = {"fused": fused, "naive": NAIVE[case.loss]}
    if with_compiled:
        found["compiled"] = compiled(case.loss)
    if with_direct:
        found["direct"] = lambda logits, labels: whole(enlarged(logits, labels), labels)
    return found


def step_of(loss: Loss, case: Case, size: int, factor: int) -> Callable[[], float]:
    """Forward and backward; returns its seconds."""
    logits_NChw, labels_NHW = batch(case, size, factor)
    now = timing.clock(torch.get_num_threads())

    def step() -> float:
        logits_NChw.grad = None
        start = now()
        loss(logits_NChw, labels_NHW).backward()
        return now() - start

    return step


def steps(form: str, case: Case, size: int, factor: int, threads: int) -> tuple[Callable[[], float], ...]:
    """A tiny step and the step itself, for a fresh process."""
    torch.set_num_threads(threads)
    loss = forms_of(case, form == "compiled", form == "direct")[form]
    return step_of(loss, case, 10 * factor, factor), step_of(loss, case, size, factor)


def check_equal(case: Case, forms: dict[str, Loss], factor: int) -> None:
    """Raises AssertionError unless all forms give the same value and gradient."""
    logits_NChw, labels_NHW = batch(case, 16 * factor, factor)
    found = {}
    for form, loss in forms.items():
        value = loss(logits_NChw, labels_NHW)
        found[form] = value.detach(), torch.autograd.grad(value, logits_NChw)[0]
    for value, gradient in found.values():
        torch.testing.assert_close(value, found["naive"][0])
        largest = float(found["naive"][1].abs().max())
        torch.testing.assert_close(gradient, found["naive"][1], rtol=0, atol=1e-5 * largest)


def tables(options: argparse.Namespace, with_direct: bool = False) -> list[timing.Table]:
    """Times and memory of every case. Forms are not warmed up at full size: what is first done is done tiny."""
    with_compiled = options.compile and not options.small and bool(shutil.which("c++") or shutil.which("clang++"))
    size = 16 * options.factor if options.small else SIZE
    seconds: dict[str, dict[str, list[float]]] = {}
    memory: dict[str, dict[str, list[float]]] = {}
    for place, case in enumerate(CASES, 1):
        timing.told(f"full resolution {place} of {len(CASES)}: {case}")
        forms = forms_of(case, with_compiled, with_direct)
        check_equal(case, forms, options.factor)
        timed = {form: step_of(loss, case, size, options.factor) for form, loss in forms.items()}
        seconds[str(case)] = timing.in_milliseconds(timing.side_by_side(timed, options.rounds, warmup=0))
        if not options.small or place == 1:
            arguments = (case, size, options.factor, options.threads)
            memory[str(case)] = {form: [timing.extra_mebibytes(steps, form, *arguments)] for form in forms}
    what = f"logits enlarged {options.factor} times to {IMAGES} x {size} x {size}"
    return [
        timing.Table(f"Loss of {what}", timing.MILLISECONDS, "fused", seconds),
        timing.Table(f"Peak extra memory, {what}", timing.MEBIBYTES, "fused", memory),
    ]


def main() -> None:
    parser = timing.options_of(__doc__, ROUNDS)
    parser.add_argument("--factor", type=int, default=4, metavar="N", help="of the enlargement; default: 4")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="without torch.compile of naive")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    timing.fresh_process_imports(["torch", "segsuite.losses.full_resolution"])
    timing.show("full_resolution_loss", options, tables(options, with_direct=True))


if __name__ == "__main__":
    main()

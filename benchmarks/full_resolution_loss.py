"""Loss of bilinearly enlarged logits, forward and backward: enlarged first (naive) against fused with the enlargement.

python benchmarks/full_resolution_loss.py [--rounds 5] [--threads 1] [--factor 4] [--compile] [--json FILE]
Batch 4, 512 x 512, 19 and 150 classes. naive: F.interpolate, then torch's cross entropy, and dice as it is usually
written; direct: F.interpolate, then the suite's loss; fused: the suite's `full_resolution: fused`; with --compile also
compiled: torch.compile of naive. All are checked to give the same before they are timed.
Times: CPU time (wall time with more than one thread), in turn; the ratio is the median over rounds.
Memory: how far one forward and backward raises the peak resident memory of a fresh process, after one on tiny logits.
Goals: cross entropy in at most 1/4 of naive's extra memory at 19 classes and 1/10 at 150, 1.5 times as fast; cross
entropy + dice in at most 1/6.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timing import side_by_side
from torch import Tensor
from torch.nn import functional as F

from segsuite.losses import build_loss, upsample_cross_entropy
from segsuite.losses.full_resolution import LowLogits, build_fused_loss
from segsuite.train.precision import peak_memory_bytes

IMAGES, SIZE, VOID = 4, 512, 255
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


def forms(case: Case, compiled: bool) -> dict[str, Loss]:
    """The ways to compute a case's loss."""
    settings = SETTINGS[case.loss]
    whole, low = build_loss(**settings), build_fused_loss(**settings)
    naive = naive_sum if case.loss.endswith("dice") else naive_cross_entropy

    def fused(logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
        if case.loss == "cross entropy":
            return upsample_cross_entropy(logits_NChw, labels_NHW)
        return low(LowLogits(logits_NChw, (labels_NHW.shape[1], labels_NHW.shape[2])), labels_NHW)

    found: dict[str, Loss] = {"naive": naive}
    if compiled:
        # dynamic: compiled once, on the tiny logits, so that its memory is not that of the compiler
        found["compiled"] = torch.compile(naive, dynamic=True)
    return found | {"direct": lambda logits, labels: whole(enlarged(logits, labels), labels), "fused": fused}


def step_of(loss: Loss, case: Case, size: int, factor: int) -> Callable[[], float]:
    """Forward and backward; returns its seconds."""
    logits_NChw, labels_NHW = batch(case, size, factor)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def step() -> float:
        logits_NChw.grad = None
        start = clock()
        loss(logits_NChw, labels_NHW).backward()
        return clock() - start

    return step


def extra_mebibytes(form: str, case: Case, options: argparse.Namespace) -> float:
    """How far one step raises the peak memory of this process; for a fresh one."""
    torch.set_num_threads(options.threads)
    loss = forms(case, options.compile)[form]
    step_of(loss, case, 10 * options.factor, options.factor)()
    step = step_of(loss, case, SIZE, options.factor)
    before = peak_memory_bytes("cpu")
    step()
    after = peak_memory_bytes("cpu")
    assert before is not None
    assert after is not None
    return (after - before) / 2**20


def check_equal(case: Case, options: argparse.Namespace) -> None:
    """Raises AssertionError unless all forms give the same value and gradient."""
    logits_NChw, labels_NHW = batch(case, 16 * options.factor, options.factor)
    found = {}
    for form, loss in forms(case, options.compile).items():
        value = loss(logits_NChw, labels_NHW)
        found[form] = value.detach(), torch.autograd.grad(value, logits_NChw)[0]
    for value, gradient in found.values():
        torch.testing.assert_close(value, found["naive"][0])
        largest = float(found["naive"][1].abs().max())
        torch.testing.assert_close(gradient, found["naive"][1], rtol=0, atol=1e-5 * largest)


def measured(case: Case, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Of each form: median seconds, extra mebibytes, and how many times as fast and as small as naive."""
    steps = {form: step_of(loss, case, SIZE, options.factor) for form, loss in forms(case, options.compile).items()}
    seconds = side_by_side(steps, options.rounds)
    found = {}
    for form, values in seconds.items():
        with multiprocessing.get_context("forkserver").Pool(1) as fresh:
            mebibytes = fresh.apply(extra_mebibytes, (form, case, options))
        ratio = statistics.median(map(lambda a, b: a / b, seconds["naive"], values))
        found[form] = {"seconds": statistics.median(values), "mebibytes": mebibytes, "times_as_fast": ratio}
    for form in found.values():
        form["times_as_small"] = found["naive"]["mebibytes"] / form["mebibytes"]
    return found


def print_table(title: str, rows: dict[Case, dict[str, dict[str, float]]], ratio: str, unit: str, digits: int) -> None:
    names = list(next(iter(rows.values())))
    print(f"\n{title}\n\n| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for case, row in rows.items():
        cells = [
            f"{found[unit]:.{digits}f}" + (f" (**{found[ratio]:.1f}**)" if name != "naive" else "")
            for name, found in row.items()
        ]
        print(f"| {case} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--factor", type=int, default=4)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["torch", "segsuite.losses.full_resolution"])
    rows: dict[Case, dict[str, dict[str, float]]] = {}
    for case in CASES:
        print(case, file=sys.stderr)
        check_equal(case, options)
        rows[case] = measured(case, options)
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {capability}, {options.threads} threads, {options.rounds} rounds")
    print_table("Peak extra memory, MiB (times as small as naive)", rows, "times_as_small", "mebibytes", 0)
    print_table("Seconds, forward and backward (times as fast as naive)", rows, "times_as_fast", "seconds", 2)
    if options.json:
        found = [{**case._asdict(), "forms": row} for case, row in rows.items()]
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Losses against what a user would take instead, forward and backward: time, and peak extra memory.

python benchmarks/losses.py [--rounds 9] [--threads 1] [--no-memory] [--json FILE]
smp: of segmentation-models-pytorch (its focal loss is another function: one sigmoid a class). naive: the same formula
with a one-hot label, as in MONAI. A sum is the sum of its parts there. Times: the median over rounds, in turn, of the
ratio of CPU time (wall time with more than one thread). Memory: how far one forward and backward raises the peak
resident memory of a fresh process, after one on a tiny image; the logits are 31 MiB. Goal for the sum of three against
smp: at least 6 times faster with a quarter of the memory.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from naive_losses import NAIVE, SMP, LossFunction, cross_entropy, total
from timing import side_by_side
from torch import Tensor

from segsuite.losses import build_loss
from segsuite.train.precision import peak_memory_bytes

SHAPE = (4, 11, 384, 480)
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Row(NamedTuple):
    """One loss of ours beside others, by name."""

    title: str
    ours: LossFunction
    others: Mapping[str, LossFunction]

    @property
    def forms(self) -> dict[str, LossFunction]:
        return {"ours": self.ours, **self.others}


def ours(*terms: dict[str, Any]) -> LossFunction:
    return build_loss(**terms[0]) if len(terms) == 1 else build_loss("sum", terms=terms)


def single(name: str) -> Row:
    others = {kind: table[name] for kind, table in {"smp": SMP, "naive": NAIVE}.items() if name in table}
    return Row(name, ours({"name": name}), others)


WEIGHTS = [1.0 + 0.5 * label for label in range(SHAPE[1])]


def weighted_cross_entropy(logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits_NCHW, labels_NHW, torch.tensor(WEIGHTS), ignore_index=255)


ROWS = {
    row.title: row
    for row in (
        Row(
            "cross_entropy + focal + dice",
            ours({"name": "cross_entropy"}, {"name": "focal"}, {"name": "dice"}),
            {
                "smp": total(cross_entropy, SMP["focal"], SMP["dice"]),
                "naive": total(cross_entropy, NAIVE["focal"], NAIVE["dice"]),
            },
        ),
        Row(
            "weighted cross_entropy + focal + dice",
            ours({"name": "cross_entropy", "class_weights": WEIGHTS}, {"name": "focal"}, {"name": "dice"}),
            {
                "smp": total(weighted_cross_entropy, SMP["focal"], SMP["dice"]),
                "naive": total(weighted_cross_entropy, NAIVE["focal"], NAIVE["dice"]),
            },
        ),
        Row(
            "cross_entropy + dice",
            ours({"name": "cross_entropy"}, {"name": "dice"}),
            {"smp": total(cross_entropy, SMP["dice"]), "naive": total(cross_entropy, NAIVE["dice"])},
        ),
        Row("cross_entropy", ours({"name": "cross_entropy"}), {"torch": cross_entropy}),
        *(single(name) for name in ("focal", "dice", "jaccard", "tversky", "lovasz_softmax")),
    )
}


def batch(shape: tuple[int, ...], layout: str) -> tuple[Tensor, Tensor]:
    """Random logits, and random labels of which about a twentieth is void: the first rows. Made in place, so that no
    memory was used before that a loss could use again."""
    generator = torch.Generator().manual_seed(0)
    n, c, height, width = shape
    logits_NCHW = torch.empty(shape, memory_format=LAYOUTS[layout]).normal_(generator=generator)
    labels_NHW = torch.empty(n, height, width, dtype=torch.int64).random_(c, generator=generator)
    labels_NHW[:, : -(-height // 20)] = 255
    return logits_NCHW.requires_grad_(), labels_NHW


def step_of(loss: LossFunction, shape: tuple[int, ...], layout: str) -> Callable[[], float]:
    """Forward and backward; returns its seconds."""
    logits_NCHW, labels_NHW = batch(shape, layout)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def step() -> float:
        start = clock()
        torch.autograd.grad(loss(logits_NCHW, labels_NHW), logits_NCHW)
        return clock() - start

    return step


def extra_mebibytes(title: str, form: str, layout: str, threads: int) -> float:
    """How far one step raises the peak memory of this process; for a fresh one."""
    torch.set_num_threads(threads)
    loss = ROWS[title].forms[form]
    step_of(loss, (1, SHAPE[1], 8, 8), layout)()
    step = step_of(loss, SHAPE, layout)
    before = peak_memory_bytes("cpu")
    step()
    after = peak_memory_bytes("cpu")
    assert before is not None
    assert after is not None
    return (after - before) / 2**20


def measured(row: Row, layout: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and MiB of each form, and how many times as fast ours is."""
    seconds = side_by_side({form: step_of(loss, SHAPE, layout) for form, loss in row.forms.items()}, options.rounds)
    found: dict[str, Any] = {"seconds": {form: statistics.median(values) for form, values in seconds.items()}}
    pairs = {form: zip(seconds[form], seconds["ours"], strict=True) for form in row.others}
    found["times_as_fast"] = {form: statistics.median(a / b for a, b in pair) for form, pair in pairs.items()}
    if options.memory:
        found["mebibytes"] = {}
        for form in row.forms:
            with multiprocessing.get_context("forkserver").Pool(1) as fresh:
                found["mebibytes"][form] = fresh.apply(extra_mebibytes, (row.title, form, layout, options.threads))
    return found


def check_equal(row: Row) -> None:
    """Raises AssertionError unless the naive form gives the same value and gradient."""
    logits_NCHW, labels_NHW = batch((2, SHAPE[1], 16, 16), "contiguous")
    for form in {"naive", "torch"} & set(row.others):
        values = [loss(logits_NCHW, labels_NHW) for loss in (row.ours, row.others[form])]
        torch.testing.assert_close(*values)
        torch.testing.assert_close(*(torch.autograd.grad(value, logits_NCHW)[0] for value in values))


def print_table(title: str, rows: dict[str, dict[str, dict[str, Any]]], cell: Callable[[dict[str, Any]], str]) -> None:
    print(f"\n{title}\n\n| | " + " | ".join(LAYOUTS) + " |\n|---|" + "---|" * len(LAYOUTS))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(cell(row[layout]) for layout in LAYOUTS) + " |")


def time_cell(found: dict[str, Any]) -> str:
    ratios = ", ".join(f"{form} **{ratio:.1f}**" for form, ratio in found["times_as_fast"].items())
    return f"{ratios} ({', '.join(f'{1e3 * value:.0f}' for value in found['seconds'].values())})"


def memory_cell(found: dict[str, Any]) -> str:
    own = found["mebibytes"]["ours"]
    others = {form: value for form, value in found["mebibytes"].items() if form != "ours"}
    ratios = ", ".join(f"{form} **{value / own:.1f}**" for form, value in others.items())
    return f"{ratios} ({', '.join(f'{value:.0f}' for value in (own, *others.values()))})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # Fresh processes are forked from one that has imported everything; tensors it must not have made.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["naive_losses", "segsuite.losses.weighted_sum"])
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for title, row in ROWS.items():
        print(title, file=sys.stderr)
        check_equal(row)
        rows[title] = {layout: measured(row, layout, options) for layout in LAYOUTS}
    capability = torch.backends.cpu.get_cpu_capability()
    shape = " x ".join(map(str, SHAPE))
    print(f"torch {torch.__version__}, {capability}, {options.threads} threads, {options.rounds} rounds, {shape}")
    print_table("Times as fast as the other form (ms ours, ms of each other form)", rows, time_cell)
    if options.memory:
        print_table("Times the peak extra memory of ours (MiB ours, MiB of each other form)", rows, memory_cell)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

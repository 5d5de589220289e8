"""The scoring of a finished network: images a second, and beside it the network's own forward passes."""

import time
from typing import TYPE_CHECKING

import torch

from gpu_sections.cases import CASES, SMALL, data_of, settings_of, training_data
from gpu_sections.clock import milliseconds
from segsuite.train.callbacks import StopRequest
from segsuite.train.evaluation import AUTOCAST, evaluate
from segsuite.train.precision import resolve_precision
from segsuite.trial.networks import build_network

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context


def main(context: "Context", records: "Records") -> None:
    device, images = context.device, 8 if context.small else 96
    case = SMALL[0] if context.small else CASES[0]
    precision = resolve_precision("auto", device)
    for workers in (0,) if context.small else (0, 8):
        settings = settings_of(
            case, data_of(context.data, 4 * images), execution={"device": device, "workers": workers}
        )
        data = training_data(settings)
        network = build_network(settings, data.num_classes).to(device).eval()
        given = torch.zeros(4, 3, 360, 480, dtype=torch.uint8, device=device)

        @torch.inference_mode()
        def forward(network: torch.nn.Module = network, given: torch.Tensor = given) -> None:
            with torch.autocast(device, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
                network(given)

        rate = 4e3 / milliseconds(forward, device, 1 if context.small else 20)
        start = time.perf_counter()
        found = evaluate(network, data.scored, data.num_classes, device, precision, StopRequest(), lambda event: None)
        seconds = time.perf_counter() - start
        row = f"{case.name}, {workers} workers"
        records.add("Scoring, images/s", row, scored=len(found.samples) / seconds, **{"forward alone": rate})

"""The prediction of an image: fp32 as in a tutorial, and as the suite scores."""

from typing import TYPE_CHECKING

import timing
import torch
from gpu_sections.cases import data_of, settings_of
from gpu_sections.rivals import network_of

from segsuite.metrics.confusion import predict
from segsuite.train.evaluation import AUTOCAST
from segsuite.train.precision import cpu_has_amx, resolve_precision
from segsuite.trial.networks import build_network
from step_sections.goals import at_least, ratio
from step_sections.training import R18, SMALL

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

CLASSES = 11


def main(context: "Context", records: "Records") -> None:
    torch.set_num_threads(1)  # CPU time of one thread is hardly touched by what else runs
    case = SMALL if context.small else R18
    precision = resolve_precision("auto", "cpu")
    own = build_network(settings_of(case, data_of(None, 8)), CLASSES).eval()
    other = network_of(case, CLASSES).eval()
    image = torch.randint(0, 256, (1, 3, *case.crop), dtype=torch.uint8)
    normalised = image.float() / 255

    @torch.no_grad()
    def stock() -> object:
        return other(normalised).softmax(1).argmax(1)

    @torch.inference_mode()
    def segsuite() -> object:
        with torch.autocast("cpu", AUTOCAST.get(precision), enabled=precision in AUTOCAST):
            return predict(own(image))

    seconds = timing.cpu_side_by_side({"stock": stock, "segsuite": segsuite}, 1 if context.small else 9)
    row = f"{case.name.partition(',')[0]}, 1 x {case.crop[0]} x {case.crop[1]}, 1 thread, {precision}"
    for form, values in seconds.items():
        records.add("Prediction of an image, ms of CPU time", row, **{form: 1e3 * sorted(values)[len(values) // 2]})
    goal = 5.0 if cpu_has_amx() else 1.6
    why = f"{precision}, channels_last; batch norm is not folded into the convolutions"
    at_least(records, f"{row}: stock / segsuite", ratio(seconds["stock"], seconds["segsuite"]), goal, why)

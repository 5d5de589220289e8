"""What a network costs: parameters, multiply-adds, time and memory of a prediction."""

import statistics
import time
from typing import Any

import torch
from torch import nn

from segsuite.models.cost import count_multiply_adds, count_parameters
from segsuite.train.evaluation import AUTOCAST

ROUNDS = 5


@torch.inference_mode()
def prediction_cost(network: nn.Module, height: int, width: int, device: str, precision: str) -> dict[str, Any]:
    """Cost of predicting one RGB image of `height` x `width` pixels on this machine.

    multiply_adds: those of convolutions and matrix products (models/cost.py);
    inference_milliseconds: median of five forward passes of one image after one to warm up, in the trial's arithmetic.
    """
    network.eval().to(device)
    image_NCHW = torch.zeros(1, 3, height, width, dtype=torch.uint8, device=device)
    with torch.autocast(device, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
        multiply_adds = count_multiply_adds(lambda: network(image_NCHW))
        seconds = [_seconds(network, image_NCHW, device) for _ in range(ROUNDS)]
    return {
        "parameters": count_parameters(network),
        "multiply_adds": multiply_adds,
        "inference_milliseconds": 1000 * statistics.median(seconds),
        "inference_size": [height, width],
    }


def _seconds(network: nn.Module, image_NCHW: torch.Tensor, device: str) -> float:
    start = time.perf_counter()
    network(image_NCHW)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start

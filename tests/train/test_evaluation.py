"""Scoring a network: everything that is counted belongs to the same pixels."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segsuite.datasets import build_dataset
from segsuite.datasets.loader import Samples, evaluation_loader
from segsuite.metrics.confusion import predict
from segsuite.metrics.objects import object_counts
from segsuite.metrics.probabilities import ProbabilityCounter
from segsuite.metrics.scores import Scores
from segsuite.train.callbacks import StopRequest
from segsuite.train.evaluation import Evaluated, evaluate

IMAGES, CLASSES = 5, 8
REPOSITORY = Path(__file__).resolve().parents[2]


class Fixed(torch.nn.Module):
    """Logits that are a fixed mix of the colours."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Conv2d(3, CLASSES, 1, bias=False)
        with torch.no_grad():
            self.mix.weight.copy_(torch.randn(CLASSES, 3, 1, 1, generator=torch.Generator().manual_seed(0)))

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        logits_NCHW: torch.Tensor = self.mix(images_NCHW.float() / 64)
        return logits_NCHW


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples(build_dataset("shapes", "val", size=(40, 56), val_images=IMAGES))


def evaluated(samples: Samples, batch_size: int, processes: int = 0) -> Evaluated:
    told: list[dict[str, Any]] = []
    loader = evaluation_loader(samples, range(IMAGES), batch_size, 0)
    return evaluate(Fixed(), loader, CLASSES, "cpu", "fp32", StopRequest(), told.append, processes)


@pytest.mark.parametrize("processes", [1, 3])
def test_counting_in_processes_changes_nothing(samples: Samples, processes: int) -> None:
    plain, apart = evaluated(samples, 2), evaluated(samples, 2, processes)
    for name in ("counts", "boundary_counts", "object_counts", "samples"):
        np.testing.assert_array_equal(getattr(apart, name), getattr(plain, name))


def test_everything_is_that_of_the_images_one_by_one(samples: Samples) -> None:
    found, network, counter = evaluated(samples, 2), Fixed(), ProbabilityCounter(CLASSES)
    for index in range(IMAGES):
        image, label = samples.dataset.read(index)
        logits = network(torch.from_numpy(image).permute(2, 0, 1)[None])
        prediction = predict(logits)
        counter.add(logits.detach(), prediction, torch.from_numpy(label)[None])
        expected = object_counts(prediction[0].numpy(), label, CLASSES)
        np.testing.assert_array_equal(found.object_counts[index], expected)
    np.testing.assert_array_equal(found.histograms.of_class, counter.histograms().of_class)
    np.testing.assert_array_equal(found.histograms.of_top, counter.histograms().of_top)


def test_counts_matrix_histograms_and_objects_agree(samples: Samples) -> None:
    found = evaluated(samples, 3)
    assert isinstance(found.scores, Scores)
    true = found.scores.confusion.diagonal().tolist()
    assert found.counts[..., 0].sum(axis=0).tolist() == true
    assert found.object_counts[..., 1].sum(axis=(0, 2)).tolist() == true
    assert found.histograms.of_top[1].sum() == sum(true)
    labelled = found.scores.label_pixels.tolist()
    assert found.object_counts[..., 0].sum(axis=(0, 2)).tolist() == labelled
    assert found.histograms.of_class[:, 1].sum(axis=1).tolist() == labelled


@pytest.mark.parametrize("batch_size", [1, 5])
def test_the_batch_size_changes_nothing(samples: Samples, batch_size: int) -> None:
    one, other = evaluated(samples, batch_size), evaluated(samples, 2)
    np.testing.assert_array_equal(one.histograms.of_class, other.histograms.of_class)
    np.testing.assert_array_equal(one.object_counts, other.object_counts)
    np.testing.assert_array_equal(one.samples, other.samples)


FEW_FILES = """
import resource
import torch
from segsuite.datasets import build_dataset
from segsuite.datasets.loader import Samples, evaluation_loader
from segsuite.train.callbacks import StopRequest
from segsuite.train.evaluation import evaluate

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
samples = Samples(build_dataset("shapes", "val", size=(8, 8), val_images=400))
network = torch.nn.Conv2d(3, 8, 1)
network.forward = lambda images: torch.nn.Conv2d.forward(network, images.float())
loader = evaluation_loader(samples, range(400), 1, workers=1)
print(len(evaluate(network, loader, 8, "cpu", "fp32", StopRequest(), lambda event: None).samples))
"""


@pytest.mark.slow
def test_many_batches_of_a_worker_are_scored_with_few_open_files() -> None:
    """Each tensor that a worker sent keeps a file open for as long as it lives (pytorch #11201, #973)."""
    ran = subprocess.run([sys.executable, "-c", FEW_FILES], cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.stdout.strip() == "400", ran.stderr[-2000:]

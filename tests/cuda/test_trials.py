"""Whole trials on a GPU, as a user runs them: settings and their pairs, stopping, memory, several on one device."""

import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from segsuite.errors import NonFiniteError, SegsuiteError, SmallerBatch
from segsuite.io import store
from segsuite.train.callbacks import StopRequest
from segsuite.trial import run_trial
from tests.reliability.trials import attempt, end_after_step, frozen, outcome, segsuite, write_experiment

pytestmark = pytest.mark.cuda
ON_GPU: dict[str, Any] = {
    "execution__device": "cuda", "execution__checkpoint_minutes": 5.0, "train__precision": "auto", "train__epochs": 2,
    "tracker": "none",
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "clip": {"train__gradient_clip": 0.5},
    "fp16": {"train__precision": "fp16-mixed"},
    "fp16 and clip": {"train__precision": "fp16-mixed", "train__gradient_clip": 0.5},
    "fp32 and sgd": {"train__precision": "fp32", "train__optimizer": {"name": "sgd", "learning_rate": 0.01}},
    "sgd and clip": {"train__optimizer": {"name": "sgd", "learning_rate": 0.01}, "train__gradient_clip": 0.5},
    "average": {"train__ema_decay": 0.9},
    "average, clip and accumulation": {
        "train__ema_decay": 0.9, "train__gradient_clip": 1.0, "train__accumulate": 3, "train__batch_size": 4,
    },
    "frozen encoder": {"train__freeze_encoder_epochs": 1},
    "strict": {"train__deterministic": "strict"},
    "patterns measured": {"checkerboard__measure": True},
    "workers": {"execution__workers": 2},
    "fused loss": {"train__full_resolution": "fused", "model": {"name": "deeplabv3", "encoder": "resnet18"}},
    "two losses": {"loss": {"name": "sum", "terms": [{"name": "cross_entropy"}, {"name": "lovasz_softmax"}]}},
    "boundary loss": {"loss": {"name": "boundary"}},
    "matched gradient": {"train__match_gradient_norm": True, "loss": {"name": "ohem_cross_entropy"}},
}  # fmt: skip


def run(folder: Path, **changes: Any) -> Path:
    """A trial run in this process; its run directory."""
    trial = frozen(write_experiment(folder, **{**ON_GPU, **changes}))
    run_trial(trial, lambda event: None, StopRequest())
    return trial


@pytest.mark.parametrize("name", SETTINGS)
def test_a_trial_finishes(name: str, tmp_path: Path) -> None:
    trial = run(tmp_path, **SETTINGS[name])
    result = store.read_json(trial / "result.json")
    assert result is not None
    assert 0 <= result["scores"]["miou"] <= 1
    assert all(math.isfinite(event["loss"]) for event in store.events(trial))
    manifest = store.read_json(trial / "manifest.json")
    assert "gpu" in json.dumps(manifest)


DETERMINISTIC: dict[str, dict[str, Any]] = {
    **{
        upsampler: {"name": "unet", "encoder": "resnet18", "upsampler": upsampler, "decoder_channels": [8] * 5}
        for upsampler in ("bilinear_conv", "nearest_conv", "transposed_k4", "pixel_shuffle", "bilinear", "carafe")
    },
    "fcn": {"name": "fcn", "encoder": "resnet18"},
    "deeplabv3": {"name": "deeplabv3", "encoder": "resnet18"},
}


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_two_strict_trials_have_the_same_bits(name: str, tmp_path: Path) -> None:
    changes = {"model": DETERMINISTIC[name], "train__deterministic": "strict"}
    first, second = (outcome(run(tmp_path / part, **changes)) for part in ("first", "second"))
    assert first == second


def test_a_trial_that_was_stopped_and_continued_has_the_same_bits(tmp_path: Path) -> None:
    changes = ON_GPU | {
        "train__deterministic": "strict",
        "train__ema_decay": 0.9,
        "execution__checkpoint_minutes": 1e-6,
    }
    whole = run(tmp_path / "whole", **changes)
    ended = frozen(write_experiment(tmp_path / "ended", **changes))
    assert end_after_step(ended, 5, signal.SIGUSR1) == 75
    assert attempt(ended) == 0, (ended / "log.txt").read_text()
    assert outcome(ended) == outcome(whole)


def test_a_rate_that_is_far_too_high_ends_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="in epoch 0, step"):
        run(tmp_path, train__optimizer={"learning_rate": 1e30}, train__precision="fp32")


def test_too_little_memory_is_said_or_helped_by_smaller_batches(tmp_path: Path) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 64 * 2**20) / total)
    try:
        with pytest.raises((SmallerBatch, SegsuiteError), match="memory"):
            run(tmp_path, data__size=[512, 512], augment__crop=[512, 512], train__batch_size=8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_two_trials_share_the_device(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **ON_GPU, seeds=[0, 1])
    ended = segsuite("run", path, "--workers", "2", "--per-device", "2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list((tmp_path / "runs").glob("*/*/result.json"))) == 2

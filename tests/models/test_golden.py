"""With default settings, networks keep the weights and logits that they had before their layers became settings."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from segsuite.models import build_model

GOLDEN = Path(__file__).parents[1] / "golden/networks.json"
NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {},
    "fcn": {"variant": "plain"},
    "deeplabv3": {"auxiliary_weight": 0.4},
    "deeplabv3plus": {"auxiliary_weight": 0.4},
}


def described(name: str) -> dict[str, Any]:
    """Names, shapes and sums of what is not the encoder's, and logits; sums, because the last bits of a machine are its
    own."""
    torch.manual_seed(7)
    network = build_model(name, 3, encoder="mobilenetv3_small_100", **NETWORKS[name]).double().eval()
    images_NCHW = torch.rand(1, 3, 40, 33, generator=torch.Generator().manual_seed(8)).double()
    with torch.no_grad():
        logits_NCHW = network(images_NCHW)
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("core.encoder.")}
    return {
        "shapes": {key: list(value.shape) for key, value in state.items()},
        "sums": {key: float(value.sum()) for key, value in state.items() if value.ndim == 4},
        "logits": [float(logits_NCHW[0, c].mean()) for c in range(3)],
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_what_they_were(name: str) -> None:
    golden, found = json.loads(GOLDEN.read_text("utf-8"))[name], described(name)
    assert list(found["shapes"].items()) == list(golden["shapes"].items())
    assert found["sums"] == pytest.approx(golden["sums"], rel=1e-5, abs=1e-5)
    assert found["logits"] == pytest.approx(golden["logits"], rel=1e-4)

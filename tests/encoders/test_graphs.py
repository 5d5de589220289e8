"""segsuite.encoders.graphs: torchvision's backbones, against torchvision's own networks with the same weights."""

import copy
import pickle

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.encoders import build_encoder
from segsuite.encoders.graphs import ARGUMENTS, TAPS, GraphBody
from segsuite.encoders.library import Encoder

# Where feature i of an encoder, whose windows are padded, is that of the network without padding: the latter's on an
# image that is moved by so many pixels, stride by stride. A window of k pixels at stride s that gets p more pixels on
# the left moves what follows by p * s.
MOVED = {
    "alexnet": {4: 3, 8: 3 + 4, 16: 3 + 4 + 8, 32: 3 + 4 + 8 + 16},
    "squeezenet1_0": dict.fromkeys((2, 4, 8, 16), 3),
    "squeezenet1_1": dict.fromkeys((2, 4, 8, 16), 1),
    "inception_v3": {2: 1 + 2, 4: 1 + 2 + 2 + 4, 8: 1 + 2 + 2 + 4 + 4},
}
SAME = ("googlenet", "shufflenet_v2_x0_5")


def pair_of(name: str) -> tuple[nn.Module, Encoder]:
    """Torchvision's whole network and the encoder with its weights, in float64."""
    torch.manual_seed(0)
    arguments = {**ARGUMENTS.get(name, {}), "init_weights": False} if name in ARGUMENTS else {}
    whole = getattr(torchvision.models, name)(weights=None, **arguments).double().eval()
    encoder = build_encoder(f"tv-{name}").double().eval()
    state = whole.state_dict()
    nn.Module.load_state_dict(
        encoder.body, {key: state[key.removeprefix("model.")] for key in encoder.body.state_dict()}
    )
    return whole, encoder


def outputs(whole: nn.Module, image_NCHW: Tensor, paths: dict[int, str]) -> dict[int, Tensor]:
    """What the modules at `paths` give, copied before anything changes it in place."""
    found: dict[int, Tensor] = {}
    hooks = [
        whole.get_submodule(path).register_forward_hook(
            lambda module, inputs, output, stride=stride: found.__setitem__(stride, output.clone())
        )
        for stride, path in paths.items()
    ]
    with torch.no_grad():
        whole(image_NCHW)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", SAME)
def test_networks_that_lose_no_pixel_are_torchvisions_own(name: str) -> None:
    whole, encoder = pair_of(name)
    image_NCHW = torch.randn(1, 3, 96, 128, dtype=torch.float64)
    expected = outputs(whole, image_NCHW, TAPS[name])
    with torch.no_grad():
        features = encoder(image_NCHW)
    assert all(torch.equal(f, expected[stride]) for f, stride in zip(features, encoder.strides, strict=True))


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in MOVED])
def test_padding_moves_the_grid_and_changes_nothing_else(name: str) -> None:
    whole, encoder = pair_of(name)
    size, margin = 352, 160
    image_NCHW = torch.randn(1, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        features = dict(zip(encoder.strides, encoder(image_NCHW), strict=True))
    for stride, pixels in MOVED[name].items():
        moved_NCHW = F.pad(image_NCHW, (pixels, 0, pixels, 0))
        expected = outputs(whole, moved_NCHW, {stride: TAPS[name][stride]})[stride]
        inner = slice(margin // stride, (size - margin) // stride)
        torch.testing.assert_close(features[stride][..., inner, inner], expected[..., inner, inner])


def test_no_pooling_of_inception_v3_is_hidden_in_a_function() -> None:
    graph = GraphBody("inception_v3", depth=4).model.graph
    assert not [node for node in graph.nodes if "pool" in str(node.target) and node.op != "call_module"]
    assert len([node for node in graph.nodes if str(node.target).startswith("pooling_")]) == 8  # 3 + 1 + 4 blocks


def test_a_shallower_body_holds_no_later_stage() -> None:
    body = GraphBody("squeezenet1_1", depth=3)
    assert body.out_channels == [3, 64, 128, 256]
    assert not [path for path, _ in body.named_parameters() if "features.9" in path]


def test_a_copy_and_a_pickled_body_stay_in_their_mode() -> None:
    body, image_NCHW = GraphBody("shufflenet_v2_x0_5").eval(), torch.rand(2, 3, 64, 64)
    for other in (copy.deepcopy(body), pickle.loads(pickle.dumps(body))):
        assert not any(module.training for module in other.modules())
        with torch.no_grad():
            assert all(torch.equal(a, b) for a, b in zip(body(image_NCHW), other(image_NCHW), strict=True))


def test_a_body_is_built_in_training_mode_and_its_statistics_move() -> None:
    body = GraphBody("shufflenet_v2_x0_5")
    assert all(module.training for module in body.modules())
    before = body.state_dict()["model.conv1.1.running_mean"].clone()
    body(torch.rand(2, 3, 64, 64))
    assert not torch.equal(body.state_dict()["model.conv1.1.running_mean"], before)

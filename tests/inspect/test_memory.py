"""Peak memory of activations: by hand on small networks, and against what autograd really keeps."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.inspect.explain import explain
from segsuite.inspect.layers import Memory
from segsuite.models import build_model

MAP = 4 * 8 * 8  # bytes of one channel of 8 x 8 pixels


def memory(network: nn.Module, channels: int = 1, batch: int = 1) -> Memory:
    return explain("it", network, (8, 8), channels, (batch, (8, 8))).memory


def test_a_chain_holds_two_neighbouring_layers_at_once() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 5, 1), nn.Conv2d(5, 3, 1))
    # the caller holds the image
    assert memory(chain).inference == (1 + 5 + 3) * MAP


def test_a_skip_is_held_until_it_is_used() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x_NCHW: Tensor) -> Tensor:
            skip = self.a(x_NCHW)
            return torch.cat([self.c(self.b(skip)), skip], 1)

    assert memory(Skip()).inference == (1 + 2 + 2 + 4) * MAP


def test_an_activation_in_place_takes_nothing() -> None:
    assert memory(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))).inference == 3 * MAP
    assert memory(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())).inference == 5 * MAP


def test_training_keeps_the_input_of_every_convolution() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 5, 1), nn.Conv2d(5, 3, 1))
    assert memory(chain).kept == (1 + 2 + 5 + 3) * MAP


def test_the_backward_pass_adds_the_gradients_of_two_neighbouring_layers() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 5, 1), nn.Conv2d(5, 3, 1))
    # in the last layer's backward: all that is kept, the gradient of the logits, and the one that it makes
    assert memory(chain).training == (1 + 2 + 5 + 3 + 3 + 5) * MAP


def test_training_takes_as_many_times_more_as_there_are_images() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 3, 1))
    one, four = memory(chain).training, memory(chain, batch=4).training
    assert one is not None
    assert four == 4 * one


def really_kept(network: nn.Module, image_NCHW: Tensor) -> int:
    """Bytes of the distinct tensors that autograd keeps after a forward pass on real values, the image and the logits
    among them."""
    weights = {one.untyped_storage().data_ptr() for one in (*network.parameters(), *network.buffers())}
    found: dict[int, tuple[int, Tensor]] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        found[storage.data_ptr()] = (storage.nbytes(), x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        logits_NCHW = network(image_NCHW)
    for one in (image_NCHW, logits_NCHW):
        found[one.untyped_storage().data_ptr()] = (one.untyped_storage().nbytes(), one)
    return sum(size for key, (size, _) in found.items() if key not in weights)


@pytest.mark.parametrize("name", ["unet", "fcn", "deeplabv3"])
def test_what_is_kept_is_what_autograd_keeps(name: str) -> None:
    network = build_model(name, 5, encoder="resnet18")
    found = explain(name, network, (64, 64), 3, (2, (64, 64))).memory
    assert found.kept == pytest.approx(really_kept(network.train(), torch.rand(2, 3, 64, 64)), rel=0.001)


def test_weights_and_their_gradients_are_not_activations() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(300, 1, 3, 3))

        def forward(self, x_NCHW: Tensor) -> Tensor:
            return F.conv2d(x_NCHW, (2 * self.weight)[:1], padding=1)

    found = memory(Wide())
    assert found.inference == 2 * MAP
    assert found.training is not None
    assert found.training < 5 * MAP

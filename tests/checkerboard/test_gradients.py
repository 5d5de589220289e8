"""The energy with which an input pixel moves the logits, against the Jacobian and the theory of overlaps."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.checkerboard.gradients import input_energy
from segsuite.checkerboard.phases import phase_sums, variation


class Strided(nn.Module):
    """A strided convolution with weights of one size and random sign, its output repeated to the size of the input."""

    def __init__(self, kernel: int, stride: int, classes: int = 32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, classes, kernel, stride, padding=kernel // 2)
        self.conv.weight.data.sign_()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return F.interpolate(y, size=x.shape[-2:])


def test_energy_is_that_of_the_jacobian_in_the_mean() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Tanh(), nn.ConvTranspose2d(4, 2, 2, 2))
    image = torch.rand(1, 3, 6, 8)
    jacobian = torch.autograd.functional.jacobian(network, image)
    assert isinstance(jacobian, Tensor)
    expected = jacobian.square().sum(dim=(0, 1, 2, 3, 4, 5))
    found = torch.stack([input_energy(network, image, seed)[0, 0] for seed in range(2000)]).mean(dim=0)
    # the square of a normal variable has a standard deviation of 1.4 of its mean: 3 % over 2000 draws
    torch.testing.assert_close(found, expected, rtol=0.15, atol=0)


def test_a_network_of_single_pixels_has_the_squared_weights_exactly() -> None:
    network = nn.Conv2d(3, 1, 1)
    found = input_energy(network, torch.rand(2, 3, 5, 4))
    torch.testing.assert_close(found, network.weight.square().sum().expand(2, 1, 5, 4).detach())


# sqrt of (1 + v)^2 - 1, v the relative variance of the overlap along an axis
@pytest.mark.parametrize(("kernel", "overlap"), [(3, (1, 2)), (5, (2, 3)), (7, (3, 4))])
def test_energy_varies_with_the_overlap_of_an_odd_kernel(kernel: int, overlap: tuple[int, int]) -> None:
    one, other = overlap
    relative = ((one - other) / (one + other)) ** 2
    energy = input_energy(Strided(kernel, 2), torch.rand(4, 3, 64, 64))[..., 8:-8, 8:-8]
    # 2304 pixels a phase of three colours each: every phase is known to 2 %
    assert variation(phase_sums(energy, 2)) == pytest.approx(math.sqrt((1 + relative) ** 2 - 1), abs=0.03)


def test_energy_of_an_even_kernel_does_not_vary() -> None:
    energy = input_energy(Strided(4, 2), torch.rand(4, 3, 64, 64))[..., 8:-8, 8:-8]
    assert variation(phase_sums(energy, 2)) < 0.06


def test_parameters_get_no_gradient_and_no_generator_is_drawn_from() -> None:
    network, state = Strided(3, 2), torch.get_rng_state()
    with torch.no_grad():
        input_energy(network, torch.rand(1, 3, 8, 8, generator=torch.Generator()))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), state)

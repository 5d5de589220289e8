"""How the kernels of transposed and sub-pixel convolutions start, beside the `random` of base.py.

A transposed convolution of stride s is s^2 interleaved convolutions, one a phase of the output grid. Its
response to a constant input is a pattern of period s, free of checkerboards if and only if the s^2 sums of
the taps of a phase are equal (Sugawara, Shiota, Kiya 2018, arXiv 1806.02658). Independent random taps give
unequal sums whatever the kernel size: 1 - 1/s^2 of the power of the response to a constant is then pattern.

torch         what PyTorch's reset_parameters draws, weights and bias.
equal_phases  drawn as `random`, then all phase sums made equal; in the sub-pixel convolution all s^2 sub-kernels
              are one (ICNR, Aitken et al. 2017, arXiv 1707.02937).
bilinear      bilinear interpolation (FCN; Long, Shelhamer, Darrell 2015, arXiv 1411.4038).
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from segsuite.upsamplers.base import keep_second_moment_


def torch_default_(conv: nn.Conv2d | nn.ConvTranspose2d, generator: Generator | None = None) -> None:
    """Draws weights and bias of `conv` as its reset_parameters does, but from `generator`, in place: uniform
    within +-1/sqrt(fan_in), where fan_in counts weight.shape[1] channels, C_out for a transposed convolution."""
    nn.init.kaiming_uniform_(conv.weight, a=5**0.5, generator=generator)
    if conv.bias is not None:
        bound = conv.weight[0].numel() ** -0.5
        nn.init.uniform_(conv.bias, -bound, bound, generator=generator)


def equalise_phases(weight_IOKK: Tensor, stride: int, gain: float = 1.0) -> Tensor:
    """The kernel of a transposed convolution with all stride^2 phase sums made equal to gain times their mean,
    differentiable.

    What a phase sum is too much is taken off its taps in equal parts: the nearest kernel with these sums, in the
    sense of least squares. With gain 1 a kernel that is balanced already stays as it is.
    """
    kernel = weight_IOKK.shape[-1]
    periods = -(-kernel // stride)
    missing = periods * stride - kernel
    # (I, O, period, phase, period, phase): tap k belongs to the phase k modulo stride
    cells = (periods, stride)
    taps = torch.unflatten(F.pad(weight_IOKK, (0, missing, 0, missing)), -1, cells)
    taps = torch.unflatten(taps, -3, cells)
    in_kernel = (torch.arange(periods * stride, device=weight_IOKK.device) < kernel).view(cells)
    is_tap = in_kernel[:, :, None, None] & in_kernel
    sums = taps.sum(dim=(-4, -2), keepdim=True)
    excess = (sums - gain * sums.mean(dim=(-3, -1), keepdim=True)) / is_tap.sum(dim=(-4, -2), keepdim=True)
    balanced = (taps - excess * is_tap).flatten(-4, -3).flatten(-2, -1)
    return balanced[..., :kernel, :kernel]


@torch.no_grad()
def equal_phases_(conv: nn.ConvTranspose2d, generator: Generator | None = None) -> None:
    """Draws `conv` as `random`, then makes its phase sums equal, in place.

    The mean of s^2 independent phase sums has 1/s^2 of their variance, so the common sum is s times the mean: a
    constant unit input keeps its second moment. Where s divides the kernel each phase by itself is still
    distributed as in `random` (independent taps of the same variance): only what the phases have to do with each
    other differs. (Scaling the whole kernel by s would also enlarge white noise, 3.25 times in kernel 4.)
    """
    keep_second_moment_(conv, generator)
    stride = conv.stride[0]
    conv.weight.copy_(equalise_phases(conv.weight, stride, gain=stride))


@torch.no_grad()
def equal_subkernels_(conv: nn.Conv2d, stride: int, generator: Generator | None = None) -> None:
    """ICNR: draws one kernel for every stride^2 consecutive output channels of `conv`, in place; bias zero. With
    the depth-to-space step that follows, it starts as nearest-neighbour enlargement of a convolution."""
    keep_second_moment_(conv, generator)
    conv.weight.copy_(conv.weight[:: stride**2].repeat_interleave(stride**2, dim=0))


def bilinear_filter(kernel: int, stride: int) -> Tensor:
    """The (kernel,) taps of FCN's bilinear filter in float64, scaled so that every phase sums to 1.

    f[k] = 1 - |k - c| / F with F = (kernel + 1) // 2 and c = F - 1 for odd kernels, F - 0.5 for even ones. The
    scale is 1 for kernel 2 s (s even) and for kernel 3 at stride 2. Kernel 2 at stride 2 is too short for a
    ramp: the formula gives (0.5, 0.5), scaled (1, 1), the nearest neighbour.
    """
    half = (kernel + 1) // 2
    centre = half - 1 if kernel % 2 else half - 0.5
    taps = 1 - (torch.arange(kernel, dtype=torch.float64) - centre).abs() / half
    return taps * stride / taps.sum()


@torch.no_grad()
def bilinear_(conv: nn.ConvTranspose2d, generator: Generator | None = None) -> None:
    """Sets the kernel of `conv` to M (x) f (x) f, f = bilinear_filter, in place; bias zero.

    M is the identity when both channel counts agree (FCN's own), otherwise drawn from N(0, 1 / in_channels).
    """
    taps = bilinear_filter(conv.kernel_size[0], conv.stride[0]).to(conv.weight)
    mix_IO = torch.eye(conv.in_channels, conv.out_channels).to(conv.weight)
    if conv.in_channels != conv.out_channels:
        nn.init.normal_(mix_IO, std=conv.in_channels**-0.5, generator=generator)
    conv.weight.copy_(mix_IO[:, :, None, None] * torch.outer(taps, taps))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)

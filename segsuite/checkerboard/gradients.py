"""How strongly each pixel of the input moves the logits.

Strided convolutions and poolings are transposed in the backward pass: a kernel that its stride does not divide covers
some input pixels more often than others, whatever the upsampler (Odena et al. 2016, last section).
"""

import torch
from torch import Tensor, nn


def input_energy(network: nn.Module, images_NCHW: Tensor, seed: int = 0) -> Tensor:
    """(N, 1, H, W): squared norm, over colours, of the gradient of a random sum of the logits by the input.

    With independent random signs r for every pixel and class, E (sum_j r_j dy_j/dx_i)^2 = sum_j (dy_j/dx_i)^2: the
    energy with which pixel i moves all logits. `images` are RGB in 0..1; the parameters get no gradient.
    """
    with torch.inference_mode(False), torch.enable_grad():
        images = images_NCHW.clone().requires_grad_()
        logits = network(images)
        signs = torch.randint(0, 2, logits.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int8)
        (gradient,) = torch.autograd.grad(logits, images, signs.to(logits).mul_(2).sub_(1))
    return gradient.square().sum(dim=1, keepdim=True)

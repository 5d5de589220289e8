"""The effective receptive field: how strongly each input of a network moves one of its outputs.

Luo, Li, Urtasun, Zemel 2016, arXiv 1701.04128: the gradient of one central output by the input, over random inputs.
Here its energy, the mean of the squared gradient, because energies of independent paths add: with random weights the
energy of a linear stack of windows is exactly the number of paths from each input (`gridding.paths`). The paper's
amplitude is its square root.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsuite.errors import ConfigError, unknown_name

Energy = NDArray[np.float64]
INPUT, OUTPUT = "input", "output"
"""The names of what goes into a network and what comes out; every other layer is named by its module path."""
PATHS_SCALE = 1e25
"""Where the gradient starts that counts paths, so that the least of them are no underflow of float32."""


@dataclass(frozen=True, eq=False)
class Field:
    """`energy_HW`: float64, at least 0, in pixels of the layer that it is a field in; `centre`: (row, column) of the
    output's own place there."""

    energy_HW: Energy
    centre: tuple[int, int]

    @property
    def amplitude_HW(self) -> Energy:
        """Root mean square of the gradient, 1 at its peak."""
        amplitude: Energy = np.sqrt(self.energy_HW / self.energy_HW.max())
        return amplitude


def effective_fields(
    network: nn.Module,
    inputs: Sequence[Tensor],
    of: str = OUTPUT,
    by: Sequence[str] = (INPUT,),
    phases: int = 1,
    seed: int = 0,
    paths: bool = False,
) -> dict[str, Field]:
    """The field of the central place of layer `of` in each of the layers `by`: mean over `inputs` of the squared
    gradient, summed over channels.

    inputs: (1, C, H, W) each, all of one size. Every channel of `of` counts with an independent random sign, so that
    the mean is that of the sum over all channels' squared gradients. phases: the place goes through the central
    phases x phases places of `of`, one an input, evenly, and all are aligned on the output's place; a network that
    enlarges by S treats S x S places differently. paths: instead of the energy the absolute gradient of the plain sum
    over channels, which counts the paths of a network that only adds (effective_field_support.py). `network` is used
    as it is (call eval() first) and its parameters get no gradient.

    Raises ConfigError for a layer that does not exist, gives no map, or does not depend on one of `by`.
    """
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[tuple[Energy, tuple[int, int]]]] = {name: [] for name in by}
    for number, given in enumerate(inputs):
        seen = see(network, given, (of, *by))
        target = seen[of]
        place = _place(number, target.shape[-2], target.shape[-1], phases)
        signs = torch.randint(0, 2, (target.shape[1],), generator=generator).to(target) * 2 - 1
        signs = torch.full_like(signs, PATHS_SCALE) if paths else signs
        score = (target[0, :, place[0], place[1]] * signs).sum()
        gradients = torch.autograd.grad(score, [seen[name] for name in by], allow_unused=True)
        for name, gradient in zip(by, gradients, strict=True):
            if gradient is None:
                raise ConfigError(f"layer '{of}' does not depend on layer '{name}'", advice="name an earlier layer")
            energy_HW = gradient[0].double().abs().pow(1 if paths else 2).sum(dim=0).cpu().numpy()
            scaled = [
                at * size // whole for at, size, whole in zip(place, energy_HW.shape, target.shape[-2:], strict=True)
            ]
            found[name].append((energy_HW, (scaled[0], scaled[1])))
    return {name: _aligned(maps) for name, maps in found.items()}


def see(network: nn.Module, given: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """What the layers `names` give for the input (1, C, H, W), with a graph back to the input: maps (1, C', H', W').

    A name is INPUT, OUTPUT or a module path; of a module that gives a list of maps (an encoder) the last one, or that
    which an index chooses: `core.encoder[0]`.
    """
    kept: dict[str, Tensor] = {}
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        given = given.detach().clone().requires_grad_()
        for name in names:
            if name not in (INPUT, OUTPUT):
                module, index = layer(network, name)
                stack.callback(module.register_forward_hook(_keeping(kept, name, index)).remove)
        kept[INPUT], kept[OUTPUT] = given, network(given)
    for name in names:
        if name not in kept:
            raise ConfigError(f"layer '{name}' is not used, or gives no map of features", advice="name another layer")
    return kept


def layer(network: nn.Module, name: str) -> tuple[nn.Module, int]:
    """The module of a layer's name and the index of its output. Raises ConfigError with the nearest valid name."""
    found = re.fullmatch(r"([^\[\]]+)(?:\[(-?\d{1,3})\])?", name)
    modules = dict(network.named_modules())
    if found is None or found[1] not in modules:
        raise ConfigError(unknown_name("layer", name, [path for path in modules if path]))
    return modules[found[1]], int(found[2] or -1)


def _keeping(kept: dict[str, Tensor], name: str, index: int) -> Callable[..., None]:
    def hook(module: nn.Module, arguments: Any, output: Any) -> None:
        if isinstance(output, list | tuple):
            output = output[index] if -len(output) <= index < len(output) else None
        if isinstance(output, Tensor) and output.ndim == 4:
            kept[name] = output

    return hook


def _place(number: int, height: int, width: int, phases: int) -> tuple[int, int]:
    """The `number`-th of phases x phases places in the middle; any few of them lie evenly (Roberts' R2 sequence)."""
    fractions = [(0.5 + number * step) % 1 for step in (0.7548776662466927, 0.5698402909980532)]
    if number == 0:
        return height // 2, width // 2
    down, right = (int(phases * fraction) - phases // 2 for fraction in fractions)
    return height // 2 + down, width // 2 + right


def _aligned(maps: Sequence[tuple[Energy, tuple[int, int]]]) -> Field:
    """The mean of maps moved so that their places coincide; only what all of them cover."""
    places = np.array([place for _, place in maps])
    first, last = places.min(axis=0), places.max(axis=0)
    height, width = maps[0][0].shape - (last - first)
    parts = [
        energy[(top := row - first[0]) : top + height, (left := column - first[1]) : left + width]
        for energy, (row, column) in maps
    ]
    energy_HW: Energy = np.mean(parts, axis=0)
    if not energy_HW.any():
        raise ConfigError("the gradient of the central output is 0 everywhere")
    return Field(energy_HW, (int(first[0]), int(first[1])))

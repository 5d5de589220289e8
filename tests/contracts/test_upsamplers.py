"""The contract of segsuite.upsamplers, run for every name in the dict and every initialisation of it.

What an operator computes is compared with plain loops in tests/upsamplers/.
"""

import statistics
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from segsuite.errors import ConfigError
from segsuite.families import resolve
from segsuite.upsamplers import INITIALISATIONS, UPSAMPLERS, build_upsampler
from segsuite.upsamplers.base import Upsampler

GUIDE_CHANNELS = 4
STARTS = [(name, init) for name in UPSAMPLERS for init in ("random", *INITIALISATIONS.get(name, ()))]
GUIDED = [name for name in UPSAMPLERS if resolve("upsampler", UPSAMPLERS, name).needs_guide]
KEEPS_CONSTANTS = [name for name in UPSAMPLERS if resolve("upsampler", UPSAMPLERS, name).keeps_constants]
# Name -> why torch.export cannot trace it with dynamic height and width.
NOT_EXPORTED: dict[str, str] = {}

every_upsampler = pytest.mark.parametrize("name", UPSAMPLERS)
every_start = pytest.mark.parametrize(("name", "init"), STARTS)


def make(
    name: str, in_channels: int = 3, out_channels: int = 5, factor: int = 2, init: str = "random", seed: int = 0
) -> Upsampler:
    torch.manual_seed(seed)
    return build_upsampler({"name": name, "init": init}, in_channels, out_channels, factor, GUIDE_CHANNELS)


def guide_of(x_NCHW: Tensor, factor: int, seed: int = 0) -> Tensor:
    """A guide of the size that belongs to `x`; the same values for the same shapes and seed."""
    n, _, height, width = x_NCHW.shape
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, GUIDE_CHANNELS, height * factor, width * factor, generator=generator).to(x_NCHW)


def enlarge(module: Upsampler, x_NCHW: Tensor, guide_seed: int = 0) -> Tensor:
    y_NCHW: Tensor = module(x_NCHW, guide=guide_of(x_NCHW, module.factor, guide_seed))
    return y_NCHW


def central_cell(module: Upsampler, u_NC: Tensor, guide_seed: int = 0) -> Tensor:
    """(N, C_out, factor, factor): the response of one central input pixel to images that are constant in space."""
    y_NCHW = enlarge(module, u_NC[:, :, None, None].expand(-1, -1, 7, 7), guide_seed)
    middle = slice(3 * module.factor, 4 * module.factor)
    return y_NCHW[..., middle, middle]


@torch.no_grad()
def pattern(module: Upsampler, u_NC: Tensor) -> float:
    """Largest deviation from the mean over the phases of the response to constant images, over its rms."""
    cell_NCpp = central_cell(module, u_NC)
    deviation_NCpp = cell_NCpp - cell_NCpp.mean(dim=(2, 3), keepdim=True)
    return float(deviation_NCpp.abs().max() / cell_NCpp.square().mean().sqrt())


@torch.no_grad()
def perturb(module: Upsampler) -> None:
    for parameter in module.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.3)


@every_upsampler
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("height_width", [(1, 1), (5, 4), (2, 3), (3, 1)])
def test_output_is_exactly_factor_times_the_input(name: str, factor: int, height_width: tuple[int, int]) -> None:
    height, width = height_width
    y_NCHW = enlarge(make(name, factor=factor), torch.randn(2, 3, height, width))
    assert y_NCHW.shape == (2, 5, height * factor, width * factor)


@every_upsampler
@pytest.mark.parametrize("size", [(9, 13), (10, 14), (11, 16), (3, 20)])
def test_size_is_met_by_cutting_or_repeating_at_the_right_and_bottom(name: str, size: tuple[int, int]) -> None:
    module, x_NCHW, guide_NCHW = make(name), torch.randn(2, 3, 5, 7), torch.randn(2, GUIDE_CHANNELS, *size)
    full_guide_NCHW = guide_NCHW[:, :, torch.arange(10).clamp(max=size[0] - 1)]
    full_guide_NCHW = full_guide_NCHW[..., torch.arange(14).clamp(max=size[1] - 1)]
    full_NCHW = module(x_NCHW, guide=full_guide_NCHW)
    expected_NCHW = full_NCHW[:, :, torch.arange(size[0]).clamp(max=9)][..., torch.arange(size[1]).clamp(max=13)]
    assert torch.equal(module(x_NCHW, size=size, guide=guide_NCHW), expected_NCHW)


@every_upsampler
@pytest.mark.parametrize("factor", [2, 4])
def test_gradient_is_right_in_float64(name: str, factor: int) -> None:
    module = make(name, 2, 3, factor).double()
    x_NCHW = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    guide_NCHW = guide_of(x_NCHW, factor).detach().requires_grad_(module.needs_guide)
    assert torch.autograd.gradcheck(lambda x, guide: module(x, None, guide), (x_NCHW, guide_NCHW), fast_mode=True)


@every_start
@pytest.mark.parametrize("factor", [2, 8])
def test_gradient_reaches_every_input_pixel_and_parameter(name: str, init: str, factor: int) -> None:
    module, x_NCHW = make(name, 3, 3, factor, init), torch.randn(2, 3, 4, 5, requires_grad=True)
    enlarge(module, x_NCHW).square().sum().backward()
    assert x_NCHW.grad is not None
    assert (x_NCHW.grad != 0).all()
    assert all(p.grad is not None and (p.grad != 0).all() for p in module.parameters())


@every_start
def test_bf16_autocast_is_near_fp32(name: str, init: str) -> None:
    module, x_NCHW = make(name, 16, 16, init=init), torch.randn(1, 16, 9, 7)
    with torch.autocast("cpu", torch.bfloat16):
        low_NCHW = enlarge(module, x_NCHW)
    assert (low_NCHW.float() - enlarge(module, x_NCHW)).abs().max() < 0.05


@every_upsampler
def test_channels_last_equals_contiguous(name: str) -> None:
    module, x_NCHW = make(name, 8, 8), torch.randn(2, 8, 5, 6)
    guide_NCHW, last = guide_of(x_NCHW, 2), torch.channels_last
    expected_NCHW = module(x_NCHW, guide=guide_NCHW)
    module.to(memory_format=last)
    y_NCHW = module(x_NCHW.to(memory_format=last), guide=guide_NCHW.to(memory_format=last))
    assert y_NCHW.is_contiguous(memory_format=last)
    torch.testing.assert_close(y_NCHW, expected_NCHW)


@every_start
def test_state_dict_makes_an_equal_copy(name: str, init: str) -> None:
    module, other, x_NCHW = make(name, init=init, seed=0), make(name, init=init, seed=1), torch.randn(1, 3, 4, 4)
    if any(True for _ in module.parameters()):
        assert not torch.equal(enlarge(module, x_NCHW), enlarge(other, x_NCHW))
    other.load_state_dict(module.state_dict())
    assert torch.equal(enlarge(module, x_NCHW), enlarge(other, x_NCHW))


@every_upsampler
def test_exported_program_takes_any_height_and_width(name: str) -> None:
    if name in NOT_EXPORTED:
        pytest.skip(NOT_EXPORTED[name])
    module, x_NCHW, other_NCHW = make(name).eval(), torch.randn(2, 3, 5, 7), torch.randn(2, 3, 8, 3)
    height, width = torch.export.Dim("height"), torch.export.Dim("width")
    sizes = {"x_NCHW": {2: height, 3: width}, "size": None, "guide": {2: 2 * height, 3: 2 * width}}
    exported = torch.export.export(module, (x_NCHW, None, guide_of(x_NCHW, 2)), dynamic_shapes=sizes).module()
    torch.testing.assert_close(exported(other_NCHW, None, guide_of(other_NCHW, 2)), enlarge(module, other_NCHW))


@every_upsampler
def test_forward_and_backward_repeat_bit_for_bit_on_cpu(name: str) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (gradients(make(name, 8, 8), torch.device("cpu")) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.cuda
@every_upsampler
def test_backward_repeats_bit_for_bit_on_cuda_where_declared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # without torch.use_deterministic_algorithms, which puts a slower operator in place of one that does not repeat
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    module = make(name, 8, 8).cuda()
    if not module.deterministic:
        pytest.skip("declared as not repeatable")
    first, *others = (gradients(module, torch.device("cuda")) for _ in range(5))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


def gradients(module: Upsampler, device: torch.device) -> list[Tensor]:
    """Output, and the gradients with respect to input and parameters, of one fixed larger input."""
    generator = torch.Generator().manual_seed(0)
    x_NCHW = torch.randn(2, 8, 24, 20, generator=generator).to(device).requires_grad_()
    y_NCHW = enlarge(module, x_NCHW)
    weight_NCHW = torch.randn(y_NCHW.shape, generator=generator).to(device)
    return [y_NCHW.detach(), *torch.autograd.grad((y_NCHW * weight_NCHW).sum(), [x_NCHW, *module.parameters()])]


@pytest.mark.parametrize("name", KEEPS_CONSTANTS)
@pytest.mark.parametrize("factor", [2, 4])
def test_constant_input_stays_constant_whatever_the_parameters(name: str, factor: int) -> None:
    module = make(name, factor=factor).double()
    u_NC = torch.randn(4, 3, dtype=torch.float64)
    assert pattern(module, u_NC) < 1e-13
    perturb(module)
    assert pattern(module, u_NC) < 1e-13


@pytest.mark.parametrize("name", sorted(UPSAMPLERS.keys() - set(KEEPS_CONSTANTS)))
def test_constant_input_gets_a_pattern_where_nothing_else_is_declared(name: str) -> None:
    assert pattern(make(name).double(), torch.randn(4, 3, dtype=torch.float64)) > 0.1


@pytest.mark.parametrize(("name", "init"), [start for start in STARTS if start[1] in ("equal_phases", "bilinear")])
@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("out_channels", [3, 5])
def test_constant_input_stays_constant_at_the_start(name: str, init: str, factor: int, out_channels: int) -> None:
    module = make(name, 3, out_channels, factor, init)
    assert pattern(module, torch.randn(4, 3)) < 1e-5


@pytest.mark.parametrize("name", ["transposed_k2", "transposed_k3", "transposed_k4", "pixel_shuffle"])
def test_random_phases_put_three_quarters_of_a_constant_into_the_pattern(name: str) -> None:
    # share of the power of the response that is variance over the s^2 phases: 1 - 1/s^2 for independent sums
    shares = []
    for seed in range(20):
        cell_NCpp = central_cell(make(name, 16, 16, seed=seed), torch.eye(16))
        shares.append(cell_NCpp.var(dim=(2, 3), correction=0).sum() / cell_NCpp.square().mean(dim=(2, 3)).sum())
    assert torch.stack(shares).mean().item() == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize(("name", "init"), [start for start in STARTS if start[1] != "torch"])
@pytest.mark.parametrize("factor", [2, 4])
def test_second_moment_of_a_constant_unit_input_is_kept_at_init(name: str, init: str, factor: int) -> None:
    # constant in space: the one input that interpolation leaves as it is; many draws stand for the expectation
    module, generator, moments = make(name, 32, 32, factor, init), torch.Generator().manual_seed(0), []
    for seed in range(20):
        module.initialise(generator)
        u_NC = torch.randn(8, 32, generator=generator)
        u_NC = u_NC / u_NC.square().mean(dim=1, keepdim=True).sqrt()
        with torch.no_grad():
            moments.append(central_cell(module, u_NC, seed).square().mean().item())
    standard_error = statistics.stdev(moments) / len(moments) ** 0.5
    assert standard_error < 0.08
    assert statistics.mean(moments) == pytest.approx(1.0, abs=max(5 * standard_error, 1e-5))


@pytest.mark.parametrize(("name", "init"), [start for start in STARTS if start[1] != "torch"])
def test_bias_is_zero_at_init(name: str, init: str) -> None:
    parameters = make(name, init=init).named_parameters()
    assert all((value == 0).all() for key, value in parameters if key.endswith("bias"))


@every_start
def test_initialise_depends_on_the_generator_only(name: str, init: str) -> None:
    first, second = make(name, init=init, seed=0), make(name, init=init, seed=1)
    before = torch.get_rng_state()
    first.initialise(torch.Generator().manual_seed(5))
    second.initialise(torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@every_upsampler
def test_learned_is_what_has_parameters_between_equal_channels(name: str) -> None:
    module = make(name, 4, 4)
    assert module.learned == any(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize("name", GUIDED)
def test_upsampler_with_guide_refuses_a_seam_without(name: str) -> None:
    with pytest.raises(ConfigError, match="guide"):
        build_upsampler(name, 4, 4, guide_channels=0)


@pytest.mark.parametrize("name", sorted(UPSAMPLERS.keys() - set(GUIDED)))
def test_upsampler_without_guide_reads_none(name: str) -> None:
    module, x_NCHW = make(name), torch.randn(1, 3, 4, 5)
    assert torch.equal(module(x_NCHW), enlarge(module, x_NCHW))


@every_upsampler
@pytest.mark.parametrize("factor", [-2, 0, 1, 3, 6])
def test_factor_is_done_or_refused(name: str, factor: int) -> None:
    refusal = ""
    try:
        module = make(name, 2, 2, factor)
    except ConfigError as error:
        refusal = error.what
    if refusal:
        assert f"not by {factor}" in refusal
    else:
        assert factor > 1
        assert enlarge(module, torch.randn(1, 2, 3, 4)).shape == (1, 2, 3 * factor, 4 * factor)


def test_unknown_name_gets_the_nearest_valid_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'bilinear_conv'"):
        build_upsampler("bilinar_conv", 2, 2)


def test_unknown_init_gets_the_nearest_valid_init() -> None:
    with pytest.raises(ConfigError, match="did you mean 'equal_phases'"):
        build_upsampler({"name": "transposed_k4", "init": "equal_phase"}, 2, 2)


def test_names_of_all_model_families_are_known_without_torch() -> None:
    packages = ", ".join(
        f"segsuite.{p}" for p in ("upsamplers", "encoders", "models", "losses", "metrics", "metrics.scores")
    )
    code = f"import sys, {packages}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"

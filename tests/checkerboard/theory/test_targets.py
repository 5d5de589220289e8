"""The texts of `segsuite inspect --checkerboard`, and users' own modules."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from segsuite.checkerboard.theory.build import build_operator
from segsuite.checkerboard.theory.draws import profile
from segsuite.checkerboard.theory.operators import Operator
from segsuite.checkerboard.theory.overlap import Geometry
from segsuite.checkerboard.theory.targets import Named, Own, every_upsampler, parse_target, parse_targets
from segsuite.errors import ConfigError
from segsuite.upsamplers import INITIALISATIONS, UPSAMPLERS

OWN = """\
import torch
from torch import nn

print("noise on standard output")

class Sized(nn.Module):
    def __init__(self, in_channels, out_channels, factor):
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, factor, factor)

    def forward(self, x):
        return self.up(x)

def fixed():
    return nn.Sequential(nn.Conv2d(5, 3, 1), nn.Upsample(scale_factor=3, mode="nearest"))

ready = nn.Identity()
number = 7

def broken():
    raise RuntimeError("out of luck\\nsecond line")

def not_a_module():
    return 3

def odd(in_channels):
    return nn.Identity()

def same_size():
    return nn.Identity()

def single():
    class Single(nn.Module):
        def forward(self, x):
            return nn.functional.interpolate(x.float(), scale_factor=2.0)
    return Single()

def vector():
    return nn.Flatten()

def pair():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x
    return Pair()

def narrow():
    return nn.ConvTranspose2d(2, 2, (2, 3), (2, 3))

def small():
    class Small(nn.Module):
        def forward(self, x):
            return (x * torch.ones(12, 12)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return Small()

def ends():
    raise SystemExit(3)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with own_up.py and a package in it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("own_")]:
        monkeypatch.delitem(sys.modules, name)  # of another test's folder
    (tmp_path / "own_up.py").write_text(OWN)
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("")
    (tmp_path / "own_package" / "up.py").write_text(OWN)
    (tmp_path / "own_syntax.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "own_import.py").write_text("import not_installed_anywhere\n")
    return tmp_path


def operator_of(text: str, channels: int = 4, factor: int = 2) -> Operator:
    return build_operator(parse_target(text), channels, factor, 0)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("transposed_k4", (Named("transposed_k4"),)),
        ("transposed_k4:bilinear", (Named("transposed_k4", "bilinear"),)),
        ("k3s2p1", (Geometry(3, 2, 1),)),
        ("k3s2p1+bilinear", (Geometry(3, 2, 1), Named("bilinear"))),
        ("module:a.b:Up", (Own("a.b", "Up"),)),
        ("module:a:Up+k2s2p0", (Own("a", "Up"), Geometry(2, 2, 0))),
    ],
)
def test_every_form_is_read(text: str, pieces: tuple[object, ...]) -> None:
    assert parse_target(text).pieces == pieces


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("transposed_k5", "did you mean 'transposed_k"),
        ("bilinar_conv", "did you mean 'bilinear_conv'"),
        ("al", "did you mean 'all'"),
        ("transposed_k4:bilinar", "did you mean 'bilinear'"),
        ("nearest_conv:bilinear", "init of upsampler 'nearest_conv'"),
        ("", "is nothing to inspect"),
        ("+", "is nothing to inspect"),
        ("k3s0p1", "out of range"),
        ("module:", "does not say which class"),
        ("module:os", "does not say which class"),
        ("module:a b:C", "does not say which class"),
        ("module:a:b():c", "does not say which class"),
        ("+".join(["bilinear"] * 6), "too long"),
        ("\udcff", "is nothing to inspect"),
    ],
)
def test_a_mistake_is_told_with_the_target(text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as found:
        parse_target(text)
    assert hint in str(found.value)
    assert found.value.where.startswith("--checkerboard ")
    assert found.value.advice


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match="2 things are wrong"):
        parse_targets(["transposed_k4", "bilinar_conv", "transposed_k33"])


def test_a_target_that_is_named_twice_is_taken_once() -> None:
    assert [target.text for target in parse_targets(["bilinear", "k3s2p1", "bilinear"])] == ["bilinear", "k3s2p1"]


def test_all_is_every_upsampler_with_every_initialisation() -> None:
    texts = [target.text for target in parse_targets(["all"])]
    assert texts == list(every_upsampler())
    assert set(UPSAMPLERS) <= set(texts)
    assert len(texts) == len(UPSAMPLERS) + sum(map(len, INITIALISATIONS.values()))


def test_a_chain_enlarges_by_the_product() -> None:
    assert operator_of("transposed_k3+bilinear+k3s3p0").factor == 12


def test_the_steps_of_a_chain_have_weights_of_their_own() -> None:
    first, second = (step.module for step in operator_of("transposed_k3+transposed_k3").steps)
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


@pytest.mark.parametrize(("text", "factor"), [("transposed_k3", 3), ("k8s8p0+k8s8p0", 2)])
def test_a_factor_that_cannot_be_done_is_told_with_the_target(text: str, factor: int) -> None:
    with pytest.raises(ConfigError) as found:
        operator_of(text, factor=factor)
    assert text in found.value.where


@pytest.mark.parametrize("module", ["own_up", "own_package.up"])
def test_an_own_class_gets_channels_and_factor(folder: Path, module: str) -> None:
    operator = operator_of(f"module:{module}:Sized", factor=4)
    assert (operator.in_channels, operator.factor) == (4, 4)
    assert next(operator.steps[0].module.parameters()).dtype == torch.float64


def test_an_own_function_chooses_channels_and_factor(folder: Path) -> None:
    operator = operator_of("module:own_up:fixed")
    assert (operator.in_channels, operator.factor) == (5, 3)


def test_own_weights_depend_on_the_seed_alone(folder: Path) -> None:
    first, again, other = (build_operator(parse_target("module:own_up:Sized"), 4, 2, seed) for seed in (0, 0, 1))
    weights = [next(one.steps[0].module.parameters()) for one in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_random_state_of_torch_is_left_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    operator_of("module:own_up:Sized")
    operator_of("transposed_k4")
    assert torch.equal(torch.get_rng_state(), before)


def test_an_own_module_prints_nothing_on_standard_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "own_noisy.py").write_text(OWN)
    operator_of("module:own_noisy:Sized")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "noise on standard output\n")


def test_an_own_module_that_fails_later_is_told_in_a_sentence(folder: Path) -> None:
    target = parse_target("module:own_up:small")
    with pytest.raises(ConfigError) as found:
        profile(target.text, partial(build_operator, target, 4, 2), 1)
    assert "own_up:small fails for an input of (4, 4, 7, 7)" in found.value.what
    assert found.value.where.startswith("own_up.py:")


def test_steps_whose_channels_do_not_agree_are_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match="gives 4 channels and the next takes 5"):
        operator_of("bilinear+module:own_up:fixed")
    assert operator_of("bilinear+module:own_up:fixed", channels=5).factor == 6


@pytest.mark.parametrize(
    ("text", "hint", "where"),
    [
        ("module:own_upp:Sized", "there is no Python module 'own_upp'", "--checkerboard"),
        ("module:own_package.upp:Sized", "there is no Python module 'own_package.upp'", "--checkerboard"),
        ("module:own_up:Size", "did you mean 'Sized'", "--checkerboard"),
        ("module:own_up:ready", "is a Identity", "--checkerboard"),
        ("module:own_up:number", "is a int", "--checkerboard"),
        ("module:own_up:not_a_module", "gives a int", "--checkerboard"),
        ("module:own_up:odd", "takes neither", "--checkerboard"),
        ("module:own_up:same_size", "(1, 4, 12, 12) of (1, 4, 12, 12)", "--checkerboard"),
        ("module:own_up:narrow", "(1, 2, 24, 36)", "--checkerboard"),
        ("module:own_up:single", "torch.float32", "--checkerboard"),
        ("module:own_up:vector", "instead of (N, C, H, W)", "--checkerboard"),
        ("module:own_up:pair", "gives a tuple", "--checkerboard"),
        ("module:own_up:broken", "RuntimeError: out of luck", "own_up.py:"),
        ("module:own_up:ends", "SystemExit: 3", "own_up.py:"),
        ("module:own_syntax:f", "SyntaxError", "own_syntax.py:2"),
        ("module:own_import:f", "No module named 'not_installed_anywhere'", "own_import.py:1"),
    ],
)
def test_an_own_module_that_cannot_be_used_is_told_in_a_sentence(
    folder: Path, text: str, hint: str, where: str
) -> None:
    with pytest.raises(ConfigError) as found:
        operator_of(text)
    assert hint in found.value.what
    assert "\n" not in found.value.what
    assert found.value.where.startswith(where)

"""segsuite.models.output_stride: the same weights at another output stride, and when that cannot be."""

from typing import Any

import pytest
import torch

from segsuite.config import TrialSettings, trial_id, validate
from segsuite.errors import ConfigError
from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork
from segsuite.models.output_stride import NETWORKS, UPSAMPLERS, at_output_stride
from segsuite.upsamplers import UPSAMPLERS as ALL_UPSAMPLERS
from segsuite.upsamplers import build_upsampler


def trial(evaluated: int | None = 8, **model: Any) -> TrialSettings:
    values = {"data": {"name": "shapes"}, "model": {"name": "deeplabv3", **model}}
    return validate(values | ({"evaluation": {"output_stride": evaluated}} if evaluated else {}), str)


def build(model: dict[str, Any], seed: int = 0) -> SegmentationNetwork:
    torch.manual_seed(seed)
    settings = {**model, "aspp_channels": 8}
    return build_model(settings.pop("name"), 5, **settings)


@pytest.mark.parametrize("rates", [None, (2, 4, 6)])
def test_the_pyramid_gives_at_the_former_grid_what_it_gave(rates: tuple[int, ...] | None) -> None:
    settings = trial(rates=None if rates is None else list(rates), image_pooling=False).model.model_dump()
    coarse = build(settings).double().eval()
    fine = build(at_output_stride(settings, 8), seed=1).double().eval()
    fine.load_state_dict(coarse.state_dict())
    x_NCHW = torch.randn(1, 3, 128, 96, dtype=torch.float64)
    with torch.no_grad():
        wanted, found = (net.core.get_submodule("aspp")(net.encoder(x_NCHW)[-1]) for net in (coarse, fine))
    torch.testing.assert_close(found[..., ::2, ::2], wanted, rtol=1e-9, atol=1e-9)


def test_hybrid_rates_see_the_same_places() -> None:
    settings = trial(hybrid_rates=[[1, 3]]).model.model_dump()
    coarse = build(settings).double().eval()
    fine = build(at_output_stride(settings, 8), seed=1).double().eval()
    fine.load_state_dict(coarse.state_dict())
    x_NCHW = torch.randn(1, 3, 128, 96, dtype=torch.float64)
    with torch.no_grad():
        wanted, found = (network.encoder(x_NCHW)[-1] for network in (coarse, fine))
    torch.testing.assert_close(found[..., ::2, ::2], wanted, rtol=1e-9, atol=1e-9)


def test_the_same_output_stride_changes_nothing() -> None:
    settings = trial(upsampler="carafe", evaluated=None).model.model_dump()
    assert at_output_stride(settings, 16) == settings


def test_the_upsamplers_that_are_named_are_those_without_weights() -> None:
    built = {name: build_upsampler(name, 5, 5, 8, 3) for name in ALL_UPSAMPLERS}
    assert {name for name, upsampler in built.items() if not upsampler.state_dict()} == set(UPSAMPLERS)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_weights_fit_with_these_upsamplers(name: str, upsampler: str) -> None:
    model = trial(name=name, encoder="mobilenetv3_small_100", upsampler=upsampler).model.model_dump()
    build(at_output_stride(model, 8), seed=1).load_state_dict(build(model).state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"evaluated": 8, "name": "unet"}, "the output stride of network 'unet' cannot be changed"),
        ({"evaluated": 8, "name": "smp/DeepLabV3"}, "the output stride of network 'smp/DeepLabV3' cannot be changed"),
        ({"evaluated": 8, "upsampler": "carafe"}, "upsampler 'carafe' hold for one factor"),
        ({"evaluated": 8, "upsampler": {"name": "transposed_k4", "init": "bilinear"}}, "hold for one factor"),
        ({"evaluated": 16, "output_stride": 8, "rates": [12, 5]}, "are no whole numbers at 16"),
        (
            {"evaluated": 16, "encoder": "mit_b0", "output_stride": 32},
            "the strides of encoder 'mit_b0' cannot be replaced",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_the_file(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        trial(**settings)
    assert "evaluation" in caught.value.where


def test_it_is_another_trial() -> None:
    assert len({trial_id(trial(evaluated)) for evaluated in (None, 8, 32)}) == 3

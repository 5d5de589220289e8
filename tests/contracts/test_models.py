"""The contract of segsuite.models: sizes, seeds, preprocessing, and every architecture of smp; seams: test_seams.py."""

from itertools import combinations
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.models import MODELS, build_model, model_name
from segsuite.models.network import Seam, SegmentationNetwork

LITE0 = Path(__file__).parents[2].parent / "shared/weights/tf_efficientnet_lite0.safetensors"
HEAVY = ("smp/DPT", "smp/MAnet", "smp/UnetPlusPlus", "smp/UPerNet", "smp/DeepLabV3")
every_model = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in MODELS]
)
SMALL = (16, 16, 16, 8, 8)


def make(name: str, **settings: object) -> SegmentationNetwork:
    encoder = "tu-vit_tiny_patch16_224" if name == "smp/DPT" else "resnet18"
    return build_model(name, 5, **{"encoder": encoder, **settings})


def unet(seed: int = 0, **settings: object) -> SegmentationNetwork:
    torch.manual_seed(seed)
    return build_model("unet", 5, **{"decoder_channels": SMALL, **settings})


class Stub(nn.Module):
    """A core that returns its input, so that the wrapper's own work shows."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, 3, 1)
        self.seen = torch.zeros(0)
        self.mean, self.std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        self.seen = x_NCHW
        return x_NCHW


def stub(stride: int = 32, min_size: int = 32) -> tuple[Stub, SegmentationNetwork]:
    core = Stub()
    return core, SegmentationNetwork(core, 3, core, stride, min_size)


def test_architectures_are_those_of_the_installed_smp() -> None:
    listed = {name.removeprefix("smp/").lower() for name in MODELS if name.startswith("smp/")}
    assert listed == set(smp.MODEL_ARCHITECTURES_MAPPING)
    assert all(hasattr(smp, name.removeprefix("smp/")) for name in MODELS if name.startswith("smp/"))


@every_model
def test_logits_have_the_size_of_any_image_in_a_batch_of_one(name: str) -> None:
    network = make(name).eval()
    with torch.no_grad():
        for height, width in [(45, 61), (1, 33)]:
            logits_NCHW = network(torch.rand(1, 3, height, width))
            assert logits_NCHW.shape == (1, 5, height, width)
            assert logits_NCHW.isfinite().all()


@every_model
def test_encoder_and_decoder_parameters_are_disjoint_and_together_all(name: str) -> None:
    network = make(name)
    of_encoder = {id(p) for p in network.encoder_parameters()}
    of_decoder = {id(p) for p in network.decoder_parameters()}
    assert of_encoder
    assert of_decoder
    assert not of_encoder & of_decoder
    assert of_encoder | of_decoder == {id(p) for p in network.parameters()}


@pytest.mark.parametrize(("height", "width"), [(1, 1), (32, 32), (33, 64), (45, 61)])
@pytest.mark.parametrize("min_size", [32, 128])
def test_core_sees_multiples_of_the_stride_padded_with_the_mean_at_the_right_and_bottom(
    height: int, width: int, min_size: int
) -> None:
    core, network = stub(min_size=min_size)
    network(torch.rand(2, 3, height, width))
    assert core.seen.shape[-2] == max(min_size, -(-height // 32) * 32)
    assert core.seen.shape[-1] == max(min_size, -(-width // 32) * 32)
    assert (core.seen[..., height:, :] == 0).all()
    assert (core.seen[..., width:] == 0).all()


def test_images_are_normalised_by_the_mean_and_std_of_the_encoder() -> None:
    core, network = stub()
    images_NCHW = torch.rand(2, 3, 5, 7)
    expected_NCHW = torch.stack([(images_NCHW[:, c] - core.mean[c]) / core.std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(network(images_NCHW), expected_NCHW)


def test_bytes_and_fractions_of_255_give_the_same_logits() -> None:
    _, network = stub()
    images_NCHW = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    torch.testing.assert_close(network(images_NCHW), network(images_NCHW.float() / 255))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_channels_last_images_reach_the_core_channels_last(dtype: torch.dtype) -> None:
    core, network = stub()
    network(torch.zeros(2, 3, 45, 61, dtype=dtype).to(memory_format=torch.channels_last))
    assert core.seen.is_contiguous(memory_format=torch.channels_last)


def test_preprocessing_is_part_of_the_state_dict() -> None:
    _, network = stub()
    core = Stub()
    core.mean, core.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    other = SegmentationNetwork(core, 3, core)
    images_NCHW = torch.rand(1, 3, 4, 4)
    assert not torch.equal(other(images_NCHW), network(images_NCHW))
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other(images_NCHW), network(images_NCHW))


def test_another_seed_gives_other_values_in_every_convolution_of_the_decoder() -> None:
    first, second = unet(0), unet(1)
    pairs = zip(first.decoder_parameters(), second.decoder_parameters(), strict=True)
    assert all(not torch.equal(a, b) for a, b in pairs if a.ndim == 4)


def test_layers_of_one_shape_start_with_different_values() -> None:
    weights = [p for p in unet().decoder_parameters() if p.ndim == 4]
    assert not any(torch.equal(a, b) for a, b in combinations(weights, 2))


def test_seams_name_the_upsamplers_coarse_to_fine() -> None:
    network = unet()
    assert network.seams() == [
        Seam("core.blocks.0.upsampler", 32, 16, 512, 16),
        Seam("core.blocks.1.upsampler", 16, 8, 16, 16),
        Seam("core.blocks.2.upsampler", 8, 4, 16, 16),
        Seam("core.blocks.3.upsampler", 4, 2, 16, 8),
        Seam("core.blocks.4.upsampler", 2, 1, 8, 8),
    ]
    for seam in network.seams():
        upsampler = network.get_submodule(seam.name)
        x_NCHW = torch.zeros(1, seam.in_channels, 3, 4)
        factor = seam.stride_from // seam.stride_to
        assert upsampler(x_NCHW).shape == (1, seam.out_channels, 3 * factor, 4 * factor)


@pytest.mark.parametrize(
    "encoder", [pytest.param("vgg11", marks=pytest.mark.slow), "convnext_atto", "tf_efficientnet_lite0"]
)
def test_unet_runs_on_encoders_with_other_strides(encoder: str) -> None:
    network = unet(encoder=encoder).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 45, 61)).shape == (1, 5, 45, 61)


def test_every_parameter_of_unet_gets_a_gradient() -> None:
    network = unet()
    loss = F.cross_entropy(network(torch.rand(2, 3, 64, 64)), torch.randint(0, 5, (2, 64, 64)))
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.decoder_parameters())


def test_logits_of_a_fresh_unet_are_of_order_one() -> None:
    logits_NCHW = unet()(torch.rand(2, 3, 64, 64))
    assert 0.1 < logits_NCHW.std().item() < 3


def test_an_upsampler_may_be_a_mapping_with_settings_of_its_own() -> None:
    weights = [
        unet(upsampler={"name": "transposed_k4", "init": init}).get_submodule("core.blocks.1.upsampler").state_dict()
        for init in ("random", "bilinear")
    ]
    assert weights[0].keys() == weights[1].keys()
    assert not any(torch.equal(weights[0][key], weights[1][key]) for key in weights[0] if "weight" in key)


def test_unet_refuses_a_wrong_number_of_decoder_widths() -> None:
    with pytest.raises(ConfigError, match="has 4 numbers, encoder 'resnet18' of stride 32 needs 5"):
        build_model("unet", 5, decoder_channels=(64, 32, 16, 8))


@pytest.mark.skipif(not LITE0.is_file(), reason="the real ImageNet weights are not on this machine")
@pytest.mark.parametrize("name", ["unet", "smp/Unet", "smp/PSPNet"])
def test_local_weights_reach_the_encoder_of_every_kind_of_model(name: str) -> None:
    from safetensors.torch import load_file

    given = load_file(LITE0)
    network = build_model(name, 5, encoder="tf_efficientnet_lite0", weights=str(LITE0))
    loaded = {key.rpartition("model.")[2]: value for key, value in network.encoder.state_dict().items()}
    assert len(loaded) > 50
    assert all(torch.equal(value, given[key]) for key, value in loaded.items())
    assert network.encoder.weights_file == LITE0


def test_smp_options_reach_the_constructor() -> None:
    narrow = make("smp/Unet", options={"decoder_channels": SMALL})
    assert sum(p.numel() for p in narrow.decoder_parameters()) < sum(
        p.numel() for p in make("smp/Unet").decoder_parameters()
    )


@pytest.mark.parametrize("options", [{"decoder_chanels": SMALL}, {"classes": 3}, {"encoder_weights": False}])
def test_wrong_smp_options_are_errors_of_the_user(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        make("smp/Unet", options=options)


def test_smp_architecture_that_needs_another_encoder_says_so() -> None:
    with pytest.raises(ConfigError, match="DPT needs a ViT"):
        build_model("smp/DPT", 5, encoder="resnet18")


def test_names_compare_without_regard_to_case() -> None:
    assert model_name("SMP/deeplabv3plus") == "smp/DeepLabV3Plus"


def test_unknown_model_and_setting_get_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'smp/Unet'"):
        build_model("smp/Unett", 5)
    with pytest.raises(ConfigError, match="did you mean 'decoder_channels'"):
        build_model("unet", 5, decoder_chanels=SMALL)

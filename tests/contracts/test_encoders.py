"""The contract of segsuite.encoders: names, features, and weights that are loaded completely or refused."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import load_file, save_file

from segsuite.encoders import build_encoder, canonical_name, check_encoder_name, downloads
from segsuite.encoders import weights as weights_file
from segsuite.encoders.names import SMP_NATIVE, TIMM_COMMON
from segsuite.encoders.weights import IMAGENET_MEAN, IMAGENET_STD, file_sha256, find_local
from segsuite.errors import ConfigError

LITE0 = Path(__file__).parents[2].parent / "shared/weights/tf_efficientnet_lite0.safetensors"
needs_lite0 = pytest.mark.skipif(not LITE0.is_file(), reason="the real ImageNet weights are not on this machine")


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working folder without weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGSUITE_WEIGHTS", raising=False)


@pytest.fixture
def resnet18_file(tmp_path: Path) -> Path:
    """A whole timm resnet18 classifier, random, as timm saves it."""
    torch.manual_seed(1)
    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "resnet18_other.safetensors")
    return tmp_path / "resnet18_other.safetensors"


def test_native_names_are_those_of_the_installed_smp() -> None:
    assert set(SMP_NATIVE) == set(smp.encoders.encoders)


@pytest.mark.parametrize("name", TIMM_COMMON)
def test_common_names_are_known_to_timm_and_no_smp_names(name: str) -> None:
    assert timm.is_model(name)
    assert canonical_name(name) == f"tu-{name}"
    assert name not in SMP_NATIVE


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18", "tu-resnet50.a1_in1k", "tf_efficientnet_lite0"])
def test_valid_names_are_accepted(name: str) -> None:
    check_encoder_name(name)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("resnet81", "resnet18"), ("tf_efficientnet_lit0", "tf_efficientnet_lite0"), ("Resnet34", "resnet34")],
)
def test_unknown_name_gets_the_nearest_valid_name(wrong: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{near}'"):
        check_encoder_name(wrong)


@pytest.mark.parametrize("name", ["tu-", "tu-../x", "a b", ""])
def test_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown encoder"):
        check_encoder_name(name)


def test_unknown_timm_model_gets_the_nearest_valid_name() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'resnet18d?'"):
        build_encoder("tu-resnet18x")


def test_timm_model_without_a_pyramid_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot give features of strides 2\.\.32"):
        build_encoder("tu-vit_tiny_patch16_224")


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("resnet18", (2, 4, 8, 16, 32)),
        ("tf_efficientnet_lite0", (2, 4, 8, 16, 32)),
        ("timm-efficientnet-b0", (2, 4, 8, 16, 32)),
        ("vgg11", (1, 2, 4, 8, 16, 32)),
        ("mit_b0", (4, 8, 16, 32)),
        ("convnext_atto", (4, 8, 16, 32)),
    ],
)
def test_features_have_the_promised_channels_and_strides(name: str, strides: tuple[int, ...]) -> None:
    encoder = build_encoder(name).eval()
    with torch.no_grad():
        features = encoder(torch.randn(2, 3, 64, 96))
    assert encoder.strides == strides
    expected = [(2, c, 64 // s, 96 // s) for c, s in zip(encoder.channels, strides, strict=True)]
    assert [tuple(f.shape) for f in features] == expected


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
def test_weights_none_never_downloads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original = smp.encoders.get_encoder

    def spy(name: str, *args: Any, weights: Any = "not given", **kwargs: Any) -> Any:
        asked.append(weights)
        return original(name, *args, weights=weights, **kwargs)

    monkeypatch.setattr(smp.encoders, "get_encoder", spy)
    encoder = build_encoder(name, "none")
    assert asked == [None]  # smp 0.6.0 downloads for False
    assert encoder.weights_file is None
    assert (encoder.mean, encoder.std) == (IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
def test_failed_download_names_the_file_to_put(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: Any, **kwargs: Any) -> Any:
        raise OSError("no route to host\nmany more lines")

    monkeypatch.setattr(downloads, "hf_hub_download", offline)
    with pytest.raises(ConfigError, match="no route to host") as caught:
        build_encoder(name, "imagenet")
    assert "put resnet18.safetensors into data/weights" in str(caught.value)
    assert "many more lines" not in str(caught.value)


def test_local_files_are_looked_for_in_the_stated_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    folders = [tmp_path / "a", tmp_path / "b", work / "data/weights", tmp_path / "shared/weights"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "resnet18d.safetensors").touch()
    monkeypatch.chdir(work)
    monkeypatch.setenv("SEGSUITE_WEIGHTS", f"{folders[0]}:{folders[1]}")
    for folder in folders:
        found = find_local("tu-resnet18d")
        assert found is not None
        assert found.resolve() == (folder / "resnet18d.safetensors").resolve()
        found.unlink()
    assert find_local("tu-resnet18d") is None


@needs_lite0
@pytest.mark.parametrize("weights", ["imagenet", "path"])
def test_every_tensor_equals_that_of_the_real_file(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSUITE_WEIGHTS", str(LITE0.parent))
    encoder = build_encoder("tf_efficientnet_lite0", str(LITE0) if weights == "path" else weights)
    given = load_file(LITE0)
    loaded = {key.removeprefix("body.model."): value for key, value in encoder.state_dict().items()}
    assert len(loaded) > 200
    assert all(torch.equal(value, given[key]) for key, value in loaded.items())
    assert encoder.weights_file == LITE0
    assert (encoder.mean, encoder.std) == (IMAGENET_MEAN, IMAGENET_STD)


@needs_lite0
def test_features_equal_those_of_timm_with_the_same_file() -> None:
    reference = timm.create_model("tf_efficientnet_lite0")
    reference.load_state_dict(load_file(LITE0))
    x_NCHW = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours = build_encoder("tf_efficientnet_lite0", str(LITE0)).eval()(x_NCHW)
        reference.eval()
        for layer in ("conv_stem", "bn1", "blocks"):
            x_NCHW = reference.get_submodule(layer)(x_NCHW)
    torch.testing.assert_close(ours[-1], x_NCHW)


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_fills_every_tensor(name: str, suffix: str, prefix: str, resnet18_file: Path, tmp_path: Path) -> None:
    given = load_file(resnet18_file)
    state = {prefix + key: value for key, value in given.items()}
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save({"state_dict": state} if suffix == ".pt" else state, file)
    loaded = build_encoder(name, str(file)).body.state_dict()
    assert all(torch.equal(value, given[key.removeprefix("model.")]) for key, value in loaded.items())


def test_flattened_names_of_feature_extractors_are_matched(tmp_path: Path) -> None:
    given = timm.create_model("convnext_atto").state_dict()  # stages.0...., features_only has stages_0....
    save_file(given, tmp_path / "convnext_atto.safetensors")
    encoder = build_encoder("convnext_atto", str(tmp_path / "convnext_atto.safetensors"))
    loaded = encoder.body.state_dict()["model.stages_3.blocks.0.conv_dw.weight"]
    assert torch.equal(loaded, given["stages.3.blocks.0.conv_dw.weight"])


def test_missing_tensors_are_counted_and_named(resnet18_file: Path) -> None:
    state = load_file(resnet18_file)
    del state["layer1.0.conv1.weight"], state["layer1.0.bn1.weight"]
    save_file(state, resnet18_file)
    with pytest.raises(ConfigError, match=r"2 tensors are missing: layer1\.0\.conv1\.weight, ") as caught:
        build_encoder("resnet18", str(resnet18_file))
    assert caught.value.where == str(resnet18_file)


def test_unknown_tensors_beside_the_classifier_are_refused(resnet18_file: Path) -> None:
    save_file({**load_file(resnet18_file), "layer9.weight": torch.zeros(1)}, resnet18_file)
    with pytest.raises(ConfigError, match=r"1 tensors are unknown to it: layer9\.weight"):
        build_encoder("resnet18", str(resnet18_file))


def test_weights_of_another_encoder_are_refused(resnet18_file: Path) -> None:
    with pytest.raises(ConfigError, match="do not fit the encoder"):
        build_encoder("resnet34", str(resnet18_file))


def test_tensors_of_another_shape_are_named(resnet18_file: Path) -> None:
    state = load_file(resnet18_file)
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    save_file(state, resnet18_file)
    with pytest.raises(ConfigError, match=r"conv1\.weight \(64, 1, 7, 7\) instead of \(64, 3, 7, 7\)"):
        build_encoder("resnet18", str(resnet18_file))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_damaged_and_missing_files_are_errors_of_the_user(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"weights{suffix}"
    with pytest.raises(ConfigError, match="does not exist"):
        build_encoder("resnet18", str(file))
    file.write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="cannot be read"):
        build_encoder("resnet18", str(file))


def test_pickled_code_is_not_executed(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    torch.save({"conv1.weight": Payload()}, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="cannot be read"):
        build_encoder("resnet18", str(tmp_path / "weights.pth"))
    assert not (tmp_path / "executed").exists()


def test_weights_that_are_no_word_and_no_file_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown encoder weights 'imagnet'"):
        build_encoder("resnet18", "imagnet")


def test_mean_and_std_of_a_file_follow_its_metadata(resnet18_file: Path) -> None:
    metadata = {"mean": json.dumps([0.5, 0.5, 0.5]), "std": json.dumps([0.25, 0.5, 1])}
    save_file(load_file(resnet18_file), resnet18_file, metadata=metadata)
    encoder = build_encoder("resnet18", str(resnet18_file))
    assert (encoder.mean, encoder.std) == ((0.5, 0.5, 0.5), (0.25, 0.5, 1.0))


def test_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x").startswith("ba7816bf8f01cfea")  # FIPS 180-2, example B.1


def test_deprecated_names_of_smp_build_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_encoder("timm-efficientnet-b0")


def test_download_is_the_last_resort(monkeypatch: pytest.MonkeyPatch, resnet18_file: Path) -> None:
    monkeypatch.setattr(weights_file, "download", lambda name: pytest.fail("downloaded"))
    monkeypatch.setenv("SEGSUITE_WEIGHTS", str(resnet18_file.parent))
    local = resnet18_file.rename(resnet18_file.with_name("resnet18.safetensors"))
    assert build_encoder("resnet18", "imagenet").weights_file == local

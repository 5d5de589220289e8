"""segsuite.encoders.weights for torchvision's files, and for names of the table: local files, downloads, errors."""

import gc
import hashlib
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from segsuite.encoders import TABLE, build_encoder, downloads, table
from segsuite.encoders.weights import find_local, local_names
from segsuite.errors import ConfigError

HALF = (0.5, 0.5, 0.5)
# files of whole classifiers, as the library saves them; one of each kind of network
OF_TIMM = (
    "resnet18d", "mobilenetv1_100", "mobilenetv3_small_100", "xception41", "skresnet18", "efficientnet_b0",
    "tf_efficientnet_lite0", "convnext_atto",
)  # fmt: skip
OF_TORCHVISION = ("tv-alexnet", "tv-googlenet", "tv-inception_v3", "tv-shufflenet_v2_x0_5", "tv-squeezenet1_1")
QUICK = ("resnet18d", "tv-squeezenet1_1", "tv-shufflenet_v2_x0_5")


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and writes nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working folder without weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGSUITE_WEIGHTS", raising=False)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands for torchvision's server; what is fetched is kept below tmp_path."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(table, "TORCHVISION_FILES", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    yield folder
    server.shutdown()
    server.server_close()
    with warnings.catch_warnings():  # torch.hub leaves its connection to whoever collects it: not a later test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def whole(name: str) -> nn.Module:
    """The classifier that the weights of `name` belong to, random."""
    torch.manual_seed(1)
    if not name.startswith("tv-"):
        return timm.create_model(name)
    second = {"aux_logits": True, "init_weights": False} if name in ("tv-googlenet", "tv-inception_v3") else {}
    model: nn.Module = getattr(torchvision.models, name.removeprefix("tv-"))(weights=None, **second)
    return model


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in (*OF_TIMM, *OF_TORCHVISION)],
)
def test_a_whole_classifiers_file_fills_every_tensor(name: str, tmp_path: Path) -> None:
    given = whole(name).state_dict()
    save_file(given, tmp_path / "weights.safetensors")
    loaded = build_encoder(name, str(tmp_path / "weights.safetensors")).body.state_dict()
    by_flat = {key.replace(".", "_"): value for key, value in given.items()}
    assert loaded
    assert all(torch.equal(v, by_flat[k.removeprefix("model.").replace(".", "_")]) for k, v in loaded.items())


@pytest.mark.parametrize("file_name", ["squeezenet1_1.safetensors", "squeezenet1_1-b8a52dc0.pth"])
def test_a_file_of_torchvision_is_found_under_both_names(file_name: str, tmp_path: Path, sockets_blocked: None) -> None:
    file = tmp_path / "data/weights" / file_name
    file.parent.mkdir(parents=True)
    state = whole("tv-squeezenet1_1").state_dict()
    save_file(state, file) if file.suffix == ".safetensors" else torch.save(state, file)
    encoder = build_encoder("tv-squeezenet1_1", "imagenet")
    assert encoder.weights_file is not None
    assert encoder.weights_file.resolve() == file
    assert torch.equal(encoder.body.state_dict()["model.features.0.weight"], state["features.0.weight"])


def test_one_file_name_is_looked_for_where_there_is_one() -> None:
    assert local_names("tu-resnet50d") == ("resnet50d.safetensors",)
    assert find_local("tv-alexnet") is None


def test_weights_of_torchvision_are_downloaded_and_checked(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, state = "tv-squeezenet1_1", whole("tv-squeezenet1_1").state_dict()
    torch.save(state, served / "file.pth")
    sha256 = hashlib.sha256((served / "file.pth").read_bytes()).hexdigest()
    for digits in (sha256[:8], "00000000"):
        file = (served / "file.pth").rename(served / f"squeezenet1_1-{digits}.pth")
        monkeypatch.setitem(TABLE, name, TABLE[name]._replace(source=file.name))
        if digits == "00000000":
            with pytest.raises(ConfigError, match="invalid hash value"):
                build_encoder(name, "imagenet")
        else:
            loaded = build_encoder(name, "imagenet").body.state_dict()
            assert all(torch.equal(value, state[key.removeprefix("model.")]) for key, value in loaded.items())
            file.rename(served / "file.pth")


def test_a_failed_download_of_torchvision_names_the_file_and_where_to_put_it(served: Path) -> None:
    with pytest.raises(ConfigError, match="no ImageNet weights for encoder 'tv-alexnet': the download failed") as error:
        build_encoder("tv-alexnet", "imagenet")
    assert "HTTP Error 404" in error.value.what
    assert "\n" not in error.value.what
    assert error.value.advice.startswith("put alexnet.safetensors into data/weights (or a folder of SEGSUITE_WEIGHTS)")
    assert f"alexnet-owt-7be5be79.pth from {table.TORCHVISION_FILES}alexnet-owt-7be5be79.pth" in error.value.advice


@pytest.mark.parametrize("name", ["resnet18", "resnet18d"])
def test_without_a_network_the_error_names_the_file_and_its_source(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*args: Any, **kwargs: Any) -> Any:
        raise OSError("no route to host")

    monkeypatch.setattr(downloads, "hf_hub_download", offline)
    with pytest.raises(ConfigError) as error:
        build_encoder(name, "imagenet")
    assert f"put {name}.safetensors into data/weights" in error.value.advice
    assert error.value.advice.endswith(TABLE[name].url)


@pytest.mark.parametrize("name", ["tv-googlenet", "tu-inception_v3"])
def test_mean_and_std_of_a_local_file_are_those_of_the_row(name: str, tmp_path: Path) -> None:
    from segsuite.encoders.weights import IMAGENET_MEAN, pretrained

    save_file({"x": torch.zeros(1)}, tmp_path / "weights.safetensors")
    source = pretrained(name, str(tmp_path / "weights.safetensors"))
    assert source is not None
    assert source.mean == (HALF if name in TABLE else IMAGENET_MEAN)


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "cut", "text", "list"])
def test_a_damaged_file_of_weights_is_one_sentence_that_names_it(name: str, damage: str, tmp_path: Path) -> None:
    from segsuite.encoders.weights import read_local

    path, state = tmp_path / name, {"x": torch.zeros(300)}
    save_file(state, path) if name.endswith("safetensors") else torch.save([1] if damage == "list" else state, path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"<html>404", "list": whole}[damage])
    if (name, damage) == ("weights.safetensors", "list"):
        assert read_local(path).state["x"].shape == (300,)
        return
    with pytest.raises(ConfigError, match="the file of encoder weights cannot be read") as caught:
        read_local(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("key", ["mean", "std"])
@pytest.mark.parametrize(
    "value", ["", "abc", "[0.5]", "[1, 2, 3, 4]", "0.5", '{"r": 1}', "[0.5, NaN, 0.5]", '["a", 1, 1]']
)
def test_metadata_that_are_no_three_numbers_are_refused(key: str, value: str, tmp_path: Path) -> None:
    from segsuite.encoders.weights import read_local

    path = tmp_path / "weights.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={key: value})
    with pytest.raises(ConfigError, match=rf"its metadata say {key}: .*, which is no list of three numbers"):
        read_local(path)

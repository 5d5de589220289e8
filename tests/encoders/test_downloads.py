"""segsuite.encoders.downloads against a local server: pinned revisions, hashes, and what is refused."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from segsuite.encoders import TABLE, build_encoder, downloads, table
from segsuite.encoders.downloads import from_hub, pinned_by_smp, sha256_of_tensors
from segsuite.encoders.present import present
from segsuite.errors import ConfigError
from segsuite.models import build_model

PINNED = smp.encoders.encoders["mobileone_s0"]["pretrained_settings"]["imagenet"]
LATEST = "0123456789abcdef0123456789abcdef01234567"
SMALL = "mobilenetv3_small_050"


class Hub:
    """Stands for huggingface.co: files by path, and the revision that it says it gives."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.commits: dict[str, str] = {}
        self.asked: list[str] = []

    def put(self, repository: str, revision: str, name: str, content: bytes, commit: str = "") -> str:
        path = f"/{repository}/resolve/{revision}/{name}"
        self.files[path], self.commits[path] = content, commit or revision
        return hashlib.sha256(content).hexdigest()


def answer(hub: Hub, request: BaseHTTPRequestHandler) -> None:
    hub.asked.append(request.path)
    content = hub.files.get(request.path)
    request.send_response(404 if content is None else 200)
    if content is None:
        request.send_header("X-Error-Code", "EntryNotFound")
    else:
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", hub.commits[request.path])
    request.send_header("Content-Length", str(len(content or b"")))
    request.end_headers()
    if content is not None and request.command == "GET":
        request.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A server; what is fetched from it is kept below tmp_path."""
    made = Hub()

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(made, self)

        do_HEAD = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGSUITE_WEIGHTS", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(table, "TORCHVISION_FILES", f"{address}/models/")
    yield made
    server.shutdown()
    server.server_close()


def content_of(model: torch.nn.Module, folder: Path) -> bytes:
    save_file(model.state_dict(), folder / "made.safetensors")
    return (folder / "made.safetensors").read_bytes()


@pytest.fixture
def of_smp(hub: Hub, tmp_path: Path) -> str:
    """The SHA-256 of what the hub has for mobileone_s0, at the revision that smp pins."""
    torch.manual_seed(1)
    content = content_of(smp.encoders.get_encoder("mobileone_s0", weights=None), tmp_path)
    facts = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    hub.put(PINNED["repo_id"], PINNED["revision"], "config.json", json.dumps(facts).encode())
    return hub.put(PINNED["repo_id"], PINNED["revision"], "model.safetensors", content)


@pytest.fixture
def of_timm(hub: Hub, tmp_path: Path) -> str:
    """The SHA-256 of what the hub has for a small model of timm, which names no revision."""
    repository = timm.get_pretrained_cfg(SMALL).hf_hub_id
    torch.manual_seed(1)
    content = content_of(timm.create_model(SMALL), tmp_path)
    return hub.put(repository, "main", "model.safetensors", content, commit=LATEST)


def test_weights_of_smp_are_asked_for_by_the_revision_that_it_pins(hub: Hub, of_smp: str, tmp_path: Path) -> None:
    encoder = build_encoder("mobileone_s0", "imagenet")
    assert all(f"/resolve/{PINNED['revision']}/" in path for path in hub.asked)
    name = f"{PINNED['repo_id']}@{PINNED['revision']}/model.safetensors"
    assert encoder.loaded_weights == {name: of_smp}
    assert (encoder.mean, encoder.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    given = load_file(tmp_path / "made.safetensors")
    assert all(torch.equal(value, given[key]) for key, value in encoder.body.state_dict().items())


def test_weights_of_timm_are_recorded_with_the_revision_that_came(hub: Hub, of_timm: str, tmp_path: Path) -> None:
    encoder = build_encoder(f"tu-{SMALL}", "imagenet")
    repository = timm.get_pretrained_cfg(SMALL).hf_hub_id
    assert encoder.loaded_weights == {f"{repository}@{LATEST}/model.safetensors": of_timm}
    given = {key.replace(".", "_"): value for key, value in load_file(tmp_path / "made.safetensors").items()}
    loaded = encoder.body.state_dict()
    assert all(torch.equal(v, given[k.removeprefix("model.").replace(".", "_")]) for k, v in loaded.items())


@pytest.mark.parametrize("of", ["unet", "smp/Unet"])
def test_every_network_tells_what_was_loaded(of: str, hub: Hub, of_smp: str) -> None:
    network = build_model(of, 3, encoder="mobileone_s0", weights="imagenet")
    assert list(network.encoder.loaded_weights.values()) == [of_smp]  # type: ignore[union-attr,operator]


def test_another_revision_than_the_pinned_one_is_refused(hub: Hub, of_smp: str) -> None:
    for path in hub.commits:
        hub.commits[path] = LATEST
    with pytest.raises(ConfigError, match=f"gave revision {LATEST} of the encoder weights instead of"):
        build_encoder("mobileone_s0", "imagenet")


def test_a_damaged_file_of_the_cache_is_refused(hub: Hub, of_smp: str, tmp_path: Path) -> None:
    build_encoder("mobileone_s0", "imagenet")
    (blob,) = (path for path in (tmp_path / "hub").rglob(of_smp) if path.parent.name == "blobs")
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(ConfigError, match="the downloaded encoder weights are damaged") as caught:
        build_encoder("mobileone_s0", "imagenet")
    assert caught.value.where == str(blob)
    blob.unlink()
    assert list(build_encoder("mobileone_s0", "imagenet").loaded_weights.values()) == [of_smp]


def test_a_damaged_file_of_torchs_cache_is_refused(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, file = "tv-squeezenet1_1", tmp_path / "made.pth"
    torch.save({key.removeprefix("model."): v for key, v in build_encoder(name).body.state_dict().items()}, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    source = f"squeezenet1_1-{sha256[:8]}.pth"
    monkeypatch.setitem(TABLE, name, TABLE[name]._replace(source=source))
    hub.files[f"/models/{source}"], hub.commits[f"/models/{source}"] = file.read_bytes(), ""
    assert build_encoder(name, "imagenet").loaded_weights == {source: sha256}
    cached = tmp_path / "torch/hub/checkpoints" / source
    cached.write_bytes(cached.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(ConfigError, match=f"should begin with {sha256[:8]}"):
        build_encoder(name, "imagenet")


def test_doctor_finds_what_was_fetched_by_a_pinned_revision(hub: Hub, tmp_path: Path) -> None:
    repository, revision = pinned_by_smp("resnet18")
    hub.put(repository, revision, "model.safetensors", b"any")
    assert present("resnet18") is None
    fetched = from_hub(repository, revision, "model.safetensors")
    assert present("resnet18") == str(fetched.file)


def test_a_server_that_is_not_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def unreached(repository: str, name: str, **options: object) -> str:
        asked.append(name)
        raise LocalEntryNotFoundError("cannot reach it")

    monkeypatch.setattr(downloads, "hf_hub_download", unreached)
    with pytest.raises(LocalEntryNotFoundError):
        from_hub("a/b", None, "model.safetensors", "pytorch_model.bin")
    assert asked == ["model.safetensors"]


def test_an_old_form_is_taken_where_there_is_no_other(hub: Hub) -> None:
    sha256 = hub.put("a/b", LATEST, "pytorch_model.bin", b"old")
    assert from_hub("a/b", LATEST, "model.safetensors", "pytorch_model.bin").sha256 == sha256


def test_tensors_without_a_file_have_a_hash_of_their_content() -> None:
    state = {"a": torch.ones(2, dtype=torch.bfloat16), "b": torch.tensor(3)}
    digest = sha256_of_tensors(state)
    assert sha256_of_tensors(dict(reversed(state.items()))) == digest
    assert sha256_of_tensors(state | {"b": torch.tensor(4)}) != digest
    assert sha256_of_tensors(state | {"a": torch.ones(2)}) != digest


def test_the_hash_of_a_setting_refuses_any_other_download(hub: Hub, of_timm: str) -> None:
    assert build_encoder(f"tu-{SMALL}", f"imagenet@{of_timm[:8]}").loaded_weights
    other = "0" * 8 if not of_timm.startswith("0" * 8) else "1" * 8
    with pytest.raises(ConfigError, match=f"their SHA-256 is {of_timm}, not {other}"):
        build_encoder(f"tu-{SMALL}", f"imagenet@{other}")


def test_the_hash_of_a_setting_refuses_any_other_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save_file(build_encoder(f"tu-{SMALL}").body.state_dict(), file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert build_encoder(f"tu-{SMALL}", f"{file}@{sha256}").loaded_weights == {"mine.safetensors": sha256}
    with pytest.raises(ConfigError, match="are not those that were asked for") as caught:
        build_encoder(f"tu-{SMALL}", f"{file}@{'0' * 12}")
    assert caught.value.advice.endswith(f"set model.weights: {file}@{sha256[:12]}")

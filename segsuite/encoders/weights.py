"""Where encoder weights come from, and loading them without silence about what did not fit.

weights = "none" | "imagenet" | path of a .safetensors, .pth or .pt file with timm's (for `tu-`) or smp's key
names, or torchvision's (for `tv-`). "imagenet" looks for `<name>.safetensors` (name without `tu-` or `tv-`), or
torchvision's file under its own name, in the folders of SEGSUITE_WEIGHTS (separated as PATH is), then in data/weights
and ../shared/weights of the working folder (the latter is shared between checkouts), and downloads otherwise (see
downloads.py). "@" and the first digits of a SHA-256 behind either refuse any other file.

Preprocessing follows the weights: a download brings its own mean and std; a local file is read with those that the
encoder's row of the table says (ImageNet's, where it has none) unless its safetensors metadata hold "mean" and "std"
(JSON lists of three numbers, 0..1 scale).
"""

import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segsuite.encoders import downloads
from segsuite.encoders.names import canonical_name
from segsuite.encoders.table import Row, row_of
from segsuite.encoders.weight_files import file_sha256, named_file, unpinned
from segsuite.errors import ConfigError
from segsuite.io.paths import expanded

RGB = tuple[float, float, float]
IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: RGB = (0.229, 0.224, 0.225)
MEAN_STD: dict[str, tuple[RGB, RGB]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}

# layers after the last feature map: files of whole classifiers hold them, encoders do not
CLASSIFIER_ROOTS = frozenset(
    {"classifier", "fc", "head", "head_norm", "last_linear", "last_conv", "conv_head", "bn2"}
    | {"norm", "norm_head", "norm_pre", "final_conv", "pre_logits"}
    # torchvision: second classifiers of GoogLeNet and Inception, last 1x1 convolution of ShuffleNet
    | {"aux1", "aux2", "AuxLogits", "conv5"}
)


@dataclass(frozen=True)
class Pretrained:
    """Weights ready to load: the tensors, where they came from (`file`, None where that is not known; `name`, in a
    manifest; `sha256` of the file), and the preprocessing they expect."""

    label: str
    state: Mapping[str, Tensor]
    file: Path | None
    name: str
    sha256: str
    mean: RGB
    std: RGB


def pretrained(name: str, weights: str) -> Pretrained | None:
    """What `weights` means for the encoder `name`; None for "none". Raises ConfigError."""
    if weights == "none":
        return None
    word, digits = unpinned(weights)
    file = find_local(name) if word == "imagenet" else named_file(weights)
    found = download(name) if file is None else read_local(file, *_mean_std(name))
    if not found.sha256.startswith(digits):
        raise ConfigError(
            f"the encoder weights are not those that were asked for: their SHA-256 is {found.sha256}, not {digits}...",
            found.label,
            f"put the right file there, or set model.weights: {word}@{found.sha256[: max(8, len(digits))]}",
        )
    return found


def find_local(name: str) -> Path | None:
    """The local file that "imagenet" means for the encoder `name`, None when there is none."""
    folders = [expanded(f) for f in os.environ.get("SEGSUITE_WEIGHTS", "").split(os.pathsep) if f]
    for folder in [*folders, Path("data/weights"), Path("../shared/weights")]:
        for file_name in local_names(name):
            if (folder / file_name).is_file():
                return folder / file_name
    return None


def local_names(name: str) -> tuple[str, ...]:
    """The file names that are looked for.

    >>> local_names("tu-tf_efficientnet_lite0"), local_names("tv-alexnet")
    (('tf_efficientnet_lite0.safetensors',), ('alexnet.safetensors', 'alexnet-owt-7be5be79.pth'))
    """
    own, row = f"{name.removeprefix('tu-').removeprefix('tv-')}.safetensors", row_of(name)
    return (own, row.source) if row and row.library == "torchvision" else (own,)


def read_local(file: Path, mean: RGB = IMAGENET_MEAN, std: RGB = IMAGENET_STD) -> Pretrained:
    """The tensors of a local file; nothing in it is executed. mean, std: of images, unless its metadata say others.
    Raises ConfigError when it is damaged."""
    metadata: Mapping[str, str] = {}
    try:
        if file.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(file, framework="pt") as opened:
                metadata = opened.metadata() or {}
                state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  # not a mapping
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
            if isinstance(state, dict):
                state = state.get("state_dict", state)
            if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
                raise TypeError("it holds other things than tensors")
        mean, std = _rgb(metadata, "mean", mean), _rgb(metadata, "std", std)
    except Exception as error:
        said = (str(error).splitlines() or ["it is empty or cut off"])[0]
        raise ConfigError(
            f"the file of encoder weights cannot be read: {said}",
            str(file),
            "fetch it again: safetensors, or a state dict that torch.load(weights_only=True) reads",
        ) from error
    return Pretrained(str(file), state, file, file.name, file_sha256(file), mean, std)


def load_pretrained(body: nn.Module, source: Pretrained, allow_unused: bool = False) -> None:
    """Copies `source` into `body` in place; every parameter and buffer must be there with its shape.

    Keys are compared without their dots, since timm flattens `stages.0` to `stages_0` in feature extractors,
    and without a common prefix. Only classifier layers may be left over (`allow_unused`: anything, for models
    that use fewer stages). Raises ConfigError with the number and the first names of what is missing, left
    over or of another shape.
    """
    given = {_flat(key): (key, value) for key, value in _without_prefix(source.state).items()}
    loaded, missing, misfits = {}, [], []
    for key, target in body.state_dict().items():
        _, value = given.pop(_flat(key.removeprefix("model.")), ("", None))
        if value is None:
            # old files lack this counter, which only matters for BatchNorm(momentum=None)
            if not key.endswith("num_batches_tracked"):
                missing.append(key)
            loaded[key] = target
        elif value.shape != target.shape:
            misfits.append(f"{key} {tuple(value.shape)} instead of {tuple(target.shape)}")
        else:
            loaded[key] = value
    unused = [] if allow_unused else [k for k, _ in given.values() if k.partition(".")[0] not in CLASSIFIER_ROOTS]
    for problem, names in (
        ("are missing:", missing),
        ("have another shape:", misfits),
        ("are unknown to it:", unused),
    ):
        if names:
            first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            raise ConfigError(
                f"the weights do not fit the encoder: {len(names)} tensors {problem} {first}",
                source.label,
                "use the weights of exactly this encoder, or weights: none",
            )
    # not body.load_state_dict: smp's encoders override it and drop or rename keys
    nn.Module.load_state_dict(body, loaded, strict=True)


def _mean_std(name: str) -> tuple[RGB, RGB]:
    row = row_of(name)
    return MEAN_STD[row.mean_std if row else "imagenet"]


def download(name: str) -> Pretrained:
    """The ImageNet weights that the encoder's library would download, from its cache where they are there. Raises
    ConfigError."""
    row = row_of(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if row and row.library == "torchvision":
                return _download_torchvision(name, row)
            smp_name = canonical_name(name)
            return _download_timm(smp_name) if smp_name.startswith("tu-") else _download_smp(smp_name)
    except ConfigError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        first, *others = local_names(name)
        put = f"put {first} into data/weights (or a folder of SEGSUITE_WEIGHTS)"
        if row:
            source = f"{others[0]} from {row.url}" if others else row.url
            put += f", or {source}" if others else f"; it is {source}"
        raise ConfigError(
            f"no ImageNet weights for encoder '{name}': the download failed ({reason})",
            "model.weights: imagenet",
            put,
        ) from error


def _download_torchvision(name: str, row: Row) -> Pretrained:
    fetched = downloads.from_url(row.url)
    return replace(
        read_local(fetched.file, *MEAN_STD[row.mean_std]),
        label=f"download of {name}, {fetched.file}",
        name=fetched.name,
    )


def _download_smp(name: str) -> Pretrained:
    import segmentation_models_pytorch as smp

    fetched, settings = downloads.of_smp(name)
    body = smp.encoders.get_encoder(name, weights=None)
    body.load_state_dict(dict(read_local(fetched.file).state))  # smp's own: drops and renames keys
    return _downloaded(name, body.state_dict(), fetched, settings)


def _download_timm(name: str) -> Pretrained:
    import segmentation_models_pytorch as smp

    fetched = downloads.of_timm(name.removeprefix("tu-"))
    settings = smp.encoders.get_preprocessing_params(name)
    # timm loads the file itself: some of its models rename keys.
    overlay = {} if fetched is None else {"file": str(fetched.file), "custom_load": False}
    body = smp.encoders.get_encoder(name, weights=True, pretrained_cfg_overlay=overlay)
    return _downloaded(name, body.state_dict(), fetched, settings)


def _downloaded(
    name: str, state: Mapping[str, Tensor], fetched: downloads.Fetched | None, settings: Mapping[str, Any]
) -> Pretrained:
    state = {key.removeprefix("model."): value for key, value in state.items()}
    if fetched is None:
        file, known, sha256 = None, f"tensors of {name}", downloads.sha256_of_tensors(state)
    else:
        file, known, sha256 = fetched
    return Pretrained(
        f"download of {name}", state, file, known, sha256, tuple(settings["mean"]), tuple(settings["std"])
    )


def _flat(key: str) -> str:
    return key.replace(".", "_")


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state without the prefix that all keys share when a wrapper saved it."""
    for prefix in ("module.", "model.", "encoder."):
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def _rgb(metadata: Mapping[str, str], key: str, default: RGB) -> RGB:
    if key not in metadata:
        return default
    try:
        red, green, blue = map(float, json.loads(metadata[key]))
        if not all(map(math.isfinite, (red, green, blue))) or (key == "std" and min(red, green, blue) <= 0):
            raise ValueError(key)
    except (ValueError, TypeError, RecursionError):
        shown = metadata[key][:60]
        raise ValueError(f"its metadata say {key}: {shown!a}, which is no list of three numbers") from None
    return red, green, blue

"""What `segsuite inspect TARGET` is asked about: an experiment's arms, a model, a stack of layers. Needs no data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite import yaml_io
from segsuite.composition import Composed
from segsuite.config import TrialSettings, validate
from segsuite.datasets import DATASETS
from segsuite.errors import ConfigError, nearest, unknown_name
from segsuite.experiment import load
from segsuite.families import resolve
from segsuite.inspect.stacks import Stack, check_sizes, read_stack
from segsuite.inspect.textbook import TEXTBOOK, textbook
from segsuite.models import MODELS, model_name

if TYPE_CHECKING:
    from torch import nn

Size = tuple[int, int]

CAMVID_SIZE = (360, 480)
STAND_IN = "camvid"
"""Whose classes and image size a model has that is named without an experiment."""
LARGEST_SIDE = 8192


@dataclass(frozen=True)
class Subject:
    """One network to explain. `training`: number and size of the images of a training step; `differences`: what its
    arm sets; `notes`: what was assumed."""

    name: str
    build: "Callable[[], nn.Module]"
    size: Size
    channels: int = 3
    training: tuple[int, Size] | None = None
    differences: dict[str, Any] = field(default_factory=dict)
    is_baseline: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """The subjects of a target; `kind`: experiment, model or stack."""

    title: str
    kind: str
    subjects: tuple[Subject, ...]
    question: str = ""


def resolve_target(
    target: str, size: Size | None = None, batch: int | None = None, overrides: Sequence[str] = ()
) -> Request:
    """What `target` names. size: of the images, instead of that of the settings; batch: images of a training step.

    Raises ConfigError for what is wrong, with file:line where there is a file.
    """
    if size is not None and not all(1 <= side <= LARGEST_SIDE for side in size):
        raise ConfigError(f"--size {size[0]} {size[1]} is not 1 to {LARGEST_SIDE}", "the command line", "give H and W")
    if batch is not None and not 1 <= batch <= 4096:
        raise ConfigError(f"--batch {batch} is not in 1 to 4096", "the command line", "choose one that is")
    if target in TEXTBOOK:
        return _stack(textbook(target), size, batch, overrides)
    if target.lower() in {name.lower() for name in MODELS}:
        return _model(model_name(target), size, batch, overrides)
    path = Path(target)
    if path.suffix in (".yaml", ".yml") or path.exists():
        source = yaml_io.read_file(path)
        if "layers" in source.value:
            return _stack(read_stack(source), size, batch, overrides)
        return _experiment(path, size, batch, overrides)
    if nearest(target, [*TEXTBOOK, *MODELS]) is None and ("/" in target or "." in target):
        yaml_io.read_file(path)  # says what is there instead
    what = unknown_name("network", target, [*TEXTBOOK, *MODELS])
    raise ConfigError(what, "the command line", "name one of these, an experiment's YAML, or a YAML with layers")


def _stack(stack: Stack, size: Size | None, batch: int | None, overrides: Sequence[str]) -> Request:
    from segsuite.inspect.stack_network import stack_network

    if overrides:
        raise ConfigError("a stack of layers has no settings", f"--set {overrides[0]}", "change its layers instead")
    images = size or stack.size
    check_sizes(stack, images)
    training = (batch or 1, images)
    subject = Subject(stack.name, lambda: stack_network(stack, images), images, stack.channels, training)
    return Request(stack.name, "stack", (subject,))


def _model(name: str, size: Size | None, batch: int | None, overrides: Sequence[str]) -> Request:
    composed = Composed({"data": {"name": STAND_IN}, "model": {"name": name}}, file="the command line")
    for text in overrides:
        composed.override(text)
    settings = validate(composed.values, composed.where)
    subject = _network(name, settings, size, batch, "the command line")
    if not any(text.startswith("data") for text in overrides):
        note = f"classes and size of {STAND_IN}, settings by default: change them with --set and --size"
        subject = Subject(**vars(subject) | {"notes": (*subject.notes, note)})
    return Request(name, "model", (subject,))


def _experiment(path: Path, size: Size | None, batch: int | None, overrides: Sequence[str]) -> Request:
    experiment = load(path, overrides)
    subjects: dict[str, Subject] = {}
    for trial in experiment.trials:
        if trial.arm not in subjects:
            made = _network(trial.arm, trial.settings, size, batch, experiment.composed.where(("data",)))
            changes = {"differences": trial.differences, "is_baseline": trial.is_baseline}
            subjects[trial.arm] = Subject(**vars(made) | changes)
    return Request(experiment.name, "experiment", tuple(subjects.values()), experiment.question)


def _network(name: str, settings: TrialSettings, size: Size | None, batch: int | None, where: str) -> Subject:
    classes, own_size = classes_and_size(settings, where if size is None else "")
    images = size or own_size
    assert images is not None  # or classes_and_size had raised
    model = settings.model.model_dump() | {"weights": "none"}
    batch = batch or settings.train.batch_size

    def build() -> "nn.Module":
        from segsuite.models import build_model

        options = dict(model)
        return build_model(options.pop("name"), classes, **options)

    return Subject(name, build, images, training=(batch, settings.augment.crop or images))


def classes_and_size(settings: TrialSettings, where: str) -> tuple[int, Size | None]:
    """Number of classes, and height and width of the images, from the settings alone.

    Raises ConfigError with `where`, unless that is empty, when the settings do not tell the size.
    """
    data: Any = settings.data
    if data.name == "folder":
        size = settings.augment.crop
        if size is None and where:
            raise ConfigError(
                "the settings do not tell how large the images are", where, "give --size HEIGHT WIDTH, or augment.crop"
            )
        return len(data.classes), size
    classes = len(resolve("dataset", DATASETS, data.name).classes)
    return classes, data.size if data.name == "shapes" else CAMVID_SIZE

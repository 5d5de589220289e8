"""The suite from Python; `import segsuite` offers these names and imports torch only where one is called.

>>> import segsuite
>>> sorted(set(segsuite.__all__) - {"__version__"})[:3]
['Experiment', 'SegmentationModule', 'TrainedTrial']
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segsuite.errors import ConfigError, unknown_name
from segsuite.experiment import Experiment as _Experiment
from segsuite.experiment import load
from segsuite.io import store
from segsuite.prediction import DEVICES
from segsuite.prediction.trials import Trained, find, read_trained

if TYPE_CHECKING:
    from segsuite.prediction.predictor import Predictor
    from segsuite.stats.effects import Comparison
    from segsuite.train.module import SegmentationModule as SegmentationModule

Pixels = NDArray[np.integer] | NDArray[np.floating]


class TrainedTrial:
    """A finished trial, whose network is loaded when it is first asked for.

    `id`, `arm`, `seed`, `folder`: which one it is; `classes`: names of the C classes; `palette`: one RGB a class;
    `result`: what result.json holds.
    """

    def __init__(self, trained: Trained, device: str = "auto") -> None:
        self._trained, self._device = trained, device
        self._predictor: Predictor | None = None
        self.id, self.arm, self.seed = trained.id, trained.arm, trained.seed
        self.folder, self.classes, self.palette = trained.folder, trained.classes, trained.palette
        self.result: dict[str, Any] = dict(store.look(trained.folder).result or {})

    def __repr__(self) -> str:
        miou = self._trained.miou
        return f"<trial {self._trained.name}{'' if miou is None else f', mIoU {miou:.3f}'}>"

    @property
    def network(self) -> Any:
        """The network in evaluation mode: images (N, 3, H, W), uint8 or float in 0..1, to logits (N, C, H, W)."""
        return self._loaded().networks[0]

    def predict(
        self, image: "str | Path | Pixels", probabilities: bool = False, window: int | None = None, overlap: float = 0.5
    ) -> NDArray[Any]:
        """Class ids (H, W) uint8 of an image, or with `probabilities` (C, H, W) float32.

        image: a file, or RGB pixels (H, W, 3), uint8 or float in 0..1. window: side in pixels of windows that share the
        part `overlap` of it with the next, for images that do not fit into memory; None: the whole image at once.
        Raises DataError for a file that is not read exactly, ConfigError for windows that cannot be.
        """
        from segsuite.datasets.image_io import read_image
        from segsuite.prediction.windows import Windows

        if isinstance(image, str | Path):
            pixels: Any = read_image(Path(image), self._trained.value_range)
        else:
            pixels = _checked(image)
        windows = None if window is None else Windows(window, overlap, int(self.network.stride))
        loaded = self._loaded()
        return loaded.probabilities(pixels, windows) if probabilities else loaded.labels(pixels, windows)

    def _loaded(self) -> "Predictor":
        from segsuite.prediction.loading import load_predictor

        if self._predictor is None:
            self._predictor = load_predictor([self._trained], self._device)
        return self._predictor


class Experiment:
    """An experiment and what its trials have left so far. `name`, `question`, `arms`, `seeds`, `baseline`: as its YAML
    says."""

    def __init__(self, experiment: _Experiment) -> None:
        self._experiment = experiment
        self.name, self.question, self.arms = experiment.name, experiment.question, experiment.arms
        self.seeds, self.baseline = experiment.seeds, experiment.baseline

    def __repr__(self) -> str:
        return f"<experiment {self.name}: {self._experiment.size}>"

    def trials(self) -> list[TrainedTrial]:
        """The finished trials, arm by arm within each seed."""
        finished = [one for one in self._experiment.trials if store.state(one.folder) == "finished"]
        return [TrainedTrial(read_trained(one.folder)) for one in finished]

    def best(self, score: str = "miou") -> TrainedTrial:
        """The finished trial of the arm with the highest mean `score`, and of its seeds the one nearest to that mean:
        the luckiest seed is not what the arm is like. Raises ConfigError where nothing has finished."""
        of_arms: dict[str, list[TrainedTrial]] = {}
        for trial in self.trials():
            if trial.result["scores"].get(score) is not None:
                of_arms.setdefault(trial.arm, []).append(trial)
        path = self._experiment.path
        if not of_arms and (there := self.trials()):
            raise ConfigError(unknown_name("score", score, there[0].result["scores"]), str(path), "name one of them")
        if not of_arms:
            raise ConfigError(f"no trial has finished with a score '{score}'", str(path), f"segsuite run {path}")

        def mean(trials: list[TrainedTrial]) -> float:
            return sum(float(one.result["scores"][score]) for one in trials) / len(trials)

        best = max(of_arms.values(), key=mean)
        return min(best, key=lambda one: abs(float(one.result["scores"][score]) - mean(best)))

    def rows(self) -> list[dict[str, Any]]:
        """A dict a trial, finished or not: `id`, `arm`, `seed`, `state`, each axis by its dotted name, each score, and
        `iou/CLASS`; None where there is no number."""
        from segsuite.report.gather import gather

        gathered = gather(self._experiment)
        found = []
        for trial in gathered.trials:
            row: dict[str, Any] = {"id": trial.id, "arm": trial.arm, "seed": trial.seed, "state": trial.state}
            row |= {axis: values[trial.arm] for axis, values in gathered.axes.items()}
            row |= dict((trial.result or {}).get("scores", {}))
            row |= {f"iou/{name}": trial.class_score("iou", name) for name in gathered.classes}
            found.append(row)
        return found

    def results(self) -> Any:
        """`rows` as a pandas.DataFrame. Raises ConfigError without pandas, which segsuite does not install."""
        try:
            import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            advice = "pip install pandas, or use .rows(), a list of dicts"
            raise ConfigError("a DataFrame needs pandas", "Experiment.results", advice) from error
        return pandas.DataFrame(self.rows())

    def compare(self, baseline: str | Mapping[str, Any] | None = None, score: str = "miou") -> "list[Comparison]":
        """Every arm against the baseline, as the report does it; see `segsuite.compare`."""
        from segsuite.report.gather import gather
        from segsuite.stats import compare as compare_arms

        gathered = gather(self._experiment)
        name = self._arm(baseline, gathered.axes)
        reference = gathered.reference
        if reference is None:
            raise ConfigError("no trial has finished", str(self._experiment.path), "run the experiment first")
        return compare_arms(gathered.counts(), name, score, reference.sequences, classes=reference.classes)

    def _arm(self, wish: str | Mapping[str, Any] | None, axes: Mapping[str, Mapping[str, str]]) -> str:
        where = str(self._experiment.path)
        if wish is None:
            if self.baseline is None:
                raise ConfigError("the experiment names no baseline", where, "give one: compare(baseline=...)")
            return self.baseline
        if isinstance(wish, str):
            if wish not in self.arms:
                raise ConfigError(unknown_name("arm", wish, self.arms), where, "name one of its arms")
            return wish
        if not isinstance(wish, Mapping) or not wish:
            raise ConfigError(f"the baseline {wish!r} names no arm", where, f"the arms are {', '.join(self.arms)}")
        for axis in wish:
            if axis not in axes:
                raise ConfigError(
                    unknown_name("axis", axis, axes), where, "name a setting that the experiment compares"
                )
        fit = [arm for arm in self.arms if all(axes[axis][arm] == str(value) for axis, value in wish.items())]
        if len(fit) != 1:
            what = f"{len(fit)} arms have {', '.join(f'{axis} {value}' for axis, value in wish.items())}"
            raise ConfigError(what, where, f"the arms are {', '.join(self.arms)}")
        return fit[0]


def load_trial(trial: str | Path, device: str = "auto") -> TrainedTrial:
    """The finished trial of a run directory, or of the beginning of an id below runs/. `device`: auto, cpu, cuda or
    mps. Raises ConfigError when there is none, or it has not finished."""
    if Path(trial).suffix in (".yaml", ".yml"):
        raise ConfigError("this is an experiment", str(trial), "use load_experiment(...).best() or .trials()")
    if device not in DEVICES:
        raise ConfigError(unknown_name("device", device, DEVICES), "load_trial", f"choose {', '.join(DEVICES)}")
    return TrainedTrial(find(str(trial))[0], device)


def load_experiment(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment of a YAML; `overrides`: dotted settings and their values, as `--set` takes them. Raises
    ConfigError with file and line."""
    return Experiment(load(Path(path), _texts(overrides)))


def compare(
    experiment: Experiment | str | Path, baseline: str | Mapping[str, Any] | None = None, score: str = "miou"
) -> "list[Comparison]":
    """Paired differences of `score` between every other arm and the baseline, with interval and Holm's p: the
    statistics of the report. They are of the counts of each image, so an experiment is needed and a table of scores is
    not enough.

    baseline: an arm, or the settings that make it, such as {"model.upsampler": "bilinear_conv"}; None: the YAML's. Each
    item has `arm`, `difference`, `low`, `high`, `p_holm` and `sentence()`. Raises ConfigError, DataError.
    """
    found = experiment if isinstance(experiment, Experiment) else load_experiment(experiment)
    return found.compare(baseline, score)


def run(path: str | Path, overrides: Mapping[str, Any] | None = None, workers: int | None = None) -> int:
    """Runs every trial of the experiment that has no result yet, as `segsuite run` does, and returns its exit code: 0
    done, 1 some trial failed, 2 wrong use, 75 stopped. `workers`: trials at a time; None: the default of `segsuite
    run`."""
    from segsuite.cli import main

    words = ["run", str(path), *(word for text in _texts(overrides) for word in ("--set", text))]
    return main([*words, *([] if workers is None else ["--workers", str(workers)])])


def build_model(name: str, num_classes: int, **settings: Any) -> Any:
    """The network `name` for `num_classes` classes: a torch.nn.Module from images (N, 3, H, W), uint8 or float in 0..1,
    of any size, to logits (N, num_classes, H, W). `settings`: as under `model` in a YAML. Raises ConfigError."""
    from segsuite.models import build_model as build

    return build(name, num_classes, **settings)


def build_loss(name: str, **settings: Any) -> Any:
    """The loss `name`: a torch.nn.Module of logits (N, C, H, W) and labels (N, H, W), of which 255 is void. `settings`:
    as under `loss` in a YAML. Raises ConfigError."""
    from segsuite.losses import build_loss as build

    return build(name, **settings)


def build_upsampler(name: str, in_channels: int, out_channels: int, factor: int = 2, **settings: Any) -> Any:
    """The upsampler `name`: a torch.nn.Module from (N, in_channels, H, W) to (N, out_channels, factor H, factor W).
    Raises ConfigError."""
    from segsuite.upsamplers import build_upsampler as build

    return build({"name": name, **settings}, in_channels, out_channels, factor)


def __getattr__(name: str) -> Any:
    """SegmentationModule, whose import brings torch."""
    if name == "SegmentationModule":
        from segsuite.train.module import SegmentationModule

        return SegmentationModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _texts(overrides: Mapping[str, Any] | None) -> Sequence[str]:
    """As `--set` takes them: JSON is YAML. Raises ConfigError."""
    import json

    if not isinstance(overrides, Mapping | None):
        raise ConfigError("overrides are no mapping", "overrides", 'give a dict such as {"train.epochs": 2}')

    return [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in (overrides or {}).items()
    ]


def _checked(image: Any) -> Any:
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ConfigError(
            f"an image is (H, W, 3), not {pixels.shape}", "predict", "give RGB pixels with the colours last"
        )
    if pixels.dtype == np.uint8:
        return pixels if pixels.flags.writeable else pixels.copy()
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ConfigError(
            f"pixels are uint8 or floats in 0..1, not {pixels.dtype}", "predict", "use .astype(np.uint8) if they fit"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # NaN, too
        raise ConfigError(
            f"floating-point pixels are in 0..1, not {low:g} to {high:g}", "predict", "divide them by 255, or as fits"
        )
    return pixels.astype(np.float32)

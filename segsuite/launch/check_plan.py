"""What is wrong with an experiment and its data, as far as it can be known without decoding an image: settings against
the classes and the number of images, missing files, and the headers of a few images. Imports no torch.

The time of it is that of listing the folders, and of opening at most HEADERS images and masks of each split.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from segsuite.config.batches import too_few, unlike_sizes
from segsuite.config.class_numbers import check_class_numbers
from segsuite.encoders.weight_files import named_file
from segsuite.errors import ConfigError, DataError, SegsuiteError
from segsuite.experiment import Experiment, Trial
from segsuite.launch.data_used import DataUsed, data_used, where_set

if TYPE_CHECKING:
    from segsuite.datasets.base import FileDataset, SegmentationDataset

HEADERS = 8


def problems(
    experiment: Experiment, trials: Sequence[Trial] | None = None, headers: bool = True
) -> list[SegsuiteError]:
    """All that is wrong with `trials` (by default all of the experiment), each once. Without `headers` no image is
    opened: for callers that read all of them afterwards."""
    chosen = experiment.trials if trials is None else trials
    found: list[SegsuiteError] = []
    for used in data_used(chosen):
        datasets, missing = open_splits(experiment, used)
        found += missing
        if "train" in datasets:
            found += _misfits(experiment, used, datasets["train"])
        if headers:
            found += _headers(experiment, used, datasets)
    found += _weights(experiment, chosen)
    return list({(error.what, error.where): error for error in found}.values())


def open_splits(experiment: Experiment, used: DataUsed) -> tuple[dict[str, "SegmentationDataset"], list[SegsuiteError]]:
    """The splits that are used, as far as they are there, and why others are not."""
    from segsuite.datasets import build_dataset

    found: dict[str, SegmentationDataset] = {}
    missing: list[SegsuiteError] = []
    for split in used.splits:
        try:
            found[split] = build_dataset(used.name, split, **used.options)
        except (ConfigError, DataError) as error:
            place = where_set(experiment, "data", "root" if isinstance(error, DataError) else "name")
            missing.append(located(error, place))
    return found, missing


def data_of(experiment: Experiment) -> Iterator[tuple[str, int]]:
    """Name and number of images of each split that is there, such as ("data camvid/train", 367)."""
    for used in data_used(experiment.trials):
        for split, dataset in open_splits(experiment, used)[0].items():
            yield f"data {used.name}/{split}", len(dataset)


def located(error: SegsuiteError, place: str) -> SegsuiteError:
    """The error with the line of the YAML that it comes from."""
    where = f"{place}, {error.where}" if error.where else place
    return type(error)(error.what, where, error.advice)


def _misfits(experiment: Experiment, used: DataUsed, training: "SegmentationDataset") -> Iterator[SegsuiteError]:
    for trial in used.trials:
        settings = trial.settings
        few = too_few(len(training), settings)
        if few is not None:
            yield located(few, where_set(experiment, "train", "batch_size"))
        try:
            check_class_numbers(settings.loss.model_dump(), training.classes)
        except ConfigError as error:
            yield located(error, where_set(experiment, "loss"))


def _headers(
    experiment: Experiment, used: DataUsed, datasets: Mapping[str, "SegmentationDataset"]
) -> Iterator[SegsuiteError]:
    """What the headers of a few files of each split say: most faults are those of all files of a dataset."""
    from segsuite.datasets.audit import Found
    from segsuite.datasets.base import FileDataset
    from segsuite.datasets.consistency import unlike_depths
    from segsuite.datasets.image_header import Depth

    depths: dict[Depth, Found] = {}
    sizes: set[tuple[int, int]] = set()
    for split, dataset in datasets.items():
        if not isinstance(dataset, FileDataset):
            continue
        for index in _spread(len(dataset)):
            try:
                size, depth = _looked_at(dataset, index)
            except DataError as error:
                yield located(error, where_set(experiment, "data"))
                break  # the next file has the same fault, or is read by the full check
            count, first, place = depths.get(depth, (0, index, dataset.place(index)))
            depths[depth] = Found(count + 1, first, place)
            if split == "train":
                sizes.add(size)
    if len(depths) > 1 and used.options.get("value_range") is None:
        yield located(unlike_depths(depths), where_set(experiment, "data"))
    for trial in used.trials:
        unlike = unlike_sizes(sizes, trial.settings)
        if unlike is not None:
            yield located(unlike, where_set(experiment, "augment"))


def _looked_at(dataset: "FileDataset", index: int) -> tuple[tuple[int, int], Any]:
    """Size and depth of an image by its header. Raises DataError for an image or mask that will not be read."""
    from segsuite.datasets.base import check_sizes
    from segsuite.datasets.image_header import check_header, read_header
    from segsuite.datasets.image_io import check_lossless

    sample = dataset.samples[index]
    image, mask = read_header(sample.image), read_header(sample.mask)
    check_header(image, sample.image, "image")
    check_header(mask, sample.mask, "mask")
    if not dataset.lossy_masks:
        check_lossless(mask.format, sample.mask)
    size = (image.height, image.width)
    check_sizes(size, (mask.height, mask.width), sample)
    return size, image.depth


def _spread(count: int) -> list[int]:
    """At most HEADERS indices from the first to the last.

    >>> _spread(3), _spread(100)
    ([0, 1, 2], [0, 14, 28, 42, 56, 70, 84, 99])
    """
    if count <= HEADERS:
        return list(range(count))
    return [place * (count - 1) // (HEADERS - 1) for place in range(HEADERS)]


def _weights(experiment: Experiment, trials: Sequence[Trial]) -> Iterator[SegsuiteError]:
    for weights in dict.fromkeys(getattr(trial.settings.model, "weights", "none") for trial in trials):
        try:
            named_file(weights)
        except ConfigError as error:
            yield located(error, where_set(experiment, "model", "weights"))

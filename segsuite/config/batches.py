"""Whether batches can be made of the training images, checked without reading one."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from segsuite.errors import ConfigError, plural

if TYPE_CHECKING:
    from segsuite.config.trial import TrialSettings


def unlike_sizes(sizes: Collection[tuple[int, int]], settings: "TrialSettings") -> ConfigError | None:
    """The error for training images, of which `sizes` are all heights and widths, that no batch can hold together."""
    together = settings.train.batch_size // settings.execution.ranks
    if len(sizes) < 2 or together < 2 or (settings.augment.crop is not None and not settings.train.overfit_batches):
        return None
    shown = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)[:4]) + (", ..." if len(sizes) > 4 else "")
    fit = f"[{min(height for height, _ in sizes)}, {min(width for _, width in sizes)}]"
    advice = f"set augment.crop, e.g. to {fit} (smaller images are padded), or train.batch_size: 1"
    if settings.train.overfit_batches:
        advice = "a sanity run (train.overfit_batches) does not crop: set train.batch_size: 1"
    return ConfigError(
        f"the training images differ in size ({shown}, height x width), and a batch of {together} holds one size",
        advice=advice,
    )


def check_scaled(settings: "TrialSettings") -> None:
    """Raises ConfigError when random scaling would give the images of one batch different sizes."""
    low, high = settings.augment.scale
    together = settings.train.batch_size // settings.execution.ranks
    if settings.augment.crop is None and low < high and together > 1 and not settings.train.overfit_batches:
        raise ConfigError(
            f"augment.scale is [{low:g}, {high:g}] without a crop: images of a batch of {together} differ in size",
            advice="set augment.crop to [height, width], or train.batch_size: 1",
        )


def check_validated(settings: "TrialSettings") -> None:
    """Raises ConfigError when the best epoch is to be scored and none would be validated."""
    train = settings.train
    if settings.evaluation.checkpoint == "best" and train.validate_every > train.epochs:
        raise ConfigError(
            f"evaluation.checkpoint is best, but of {plural(train.epochs, 'epoch')} none is validated: "
            f"train.validate_every is {train.validate_every}",
            advice=f"set train.validate_every to at most {train.epochs}, or evaluation.checkpoint: last",
        )


def check_on_device(settings: "TrialSettings") -> None:
    """Raises ConfigError when batches are to be made on the device of what is computed on the CPU alone."""
    augment = settings.augment
    if settings.execution.data_on_device is True and augment.hue > 0 and not settings.train.overfit_batches:
        raise ConfigError(
            f"execution.data_on_device is true, but augment.hue, which is {augment.hue:g}, is computed on the CPU",
            advice="set execution.data_on_device to auto or false, or augment.hue to 0",
        )


def too_few(images: int, settings: "TrialSettings") -> ConfigError | None:
    """The error for a batch that is larger than the training split, which would be trained smaller than recorded."""
    batch, batches = settings.train.batch_size, max(1, settings.train.overfit_batches)
    if batch * batches <= images:
        return None
    what = f"train.batch_size is {batch}" + (f" and train.overfit_batches {batches}" if batches > 1 else "")
    return ConfigError(
        f"{what}, but the training split has only {plural(images, 'image')}",
        advice=f"set train.batch_size to at most {max(1, images // batches)}; train.accumulate gives larger steps",
    )

"""Settings of datasets and of augmentation."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from segsuite.config.base import PATH, Settings, as_value_error
from segsuite.datasets.mask_values import check_classes, mask_values

Size = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Split = Literal["train", "val", "test"]
Range = tuple[float, float]


class ShapesData(Settings):
    """The embedded dataset: procedural scenes, nothing to download."""

    name: Literal["shapes"]
    """Which dataset."""
    size: Size = (96, 128)
    """Height and width of an image in pixels, at least 1."""
    train_images: int = Field(240, ge=1)
    """Number of training images, at least 1."""
    val_images: int = Field(60, ge=1)
    """Number of validation images, at least 1."""
    test_images: int = Field(60, ge=1)
    """Number of test images, at least 1."""
    scene_seed: int = Field(0, ge=0)
    """Which world of scenes is drawn; not the seed of training."""
    rare_share: float | None = Field(None, gt=0, le=0.1)
    """Share of all pixels that the rare classes, marker and spot, have together, half each, above 0 to 0.1; the objects
    keep their sizes, only their number changes. None: about two of each in an image, 1 % together."""


class CamvidData(Settings):
    """CamVid, 360x480, 11 classes and void (data/README.md says how to get it)."""

    name: Literal["camvid"]
    """Which dataset."""
    root: str = Field("data/camvid", json_schema_extra=PATH)
    """Folder that holds train/ trainannot/ val/ valannot/ test/ testannot/, relative to the working directory; `~` and
    $NAME are replaced."""


class FolderData(Settings):
    """Any images and masks: two globs or a CSV, class names, and which raw mask value means which class."""

    name: Literal["folder"]
    """Which dataset."""
    root: str = Field(json_schema_extra=PATH)
    """Folder that globs and the CSV's paths are relative to, itself relative to the working directory; `~` and $NAME
    are replaced."""
    classes: tuple[str, ...] = Field(min_length=2, max_length=255)
    """Class names in the order of their ids, 2 to 255."""
    images: str | None = None
    """Glob of the images, relative to root; may hold {split}, e.g. `{split}/images/*.png`. The case of its ending does
    not count: *.png also finds .PNG."""
    masks: str | None = None
    """Glob of the masks, paired with the images by file name; may hold {split}."""
    csv: str | None = None
    """CSV file with the columns image, mask and, if the split is fixed, split; instead of the globs."""
    values: dict[str, str] | None = None
    """Raw mask value -> class name or `void`; keys are integers, ranges such as "0-127" with both ends, or colours such
    as "#ff0000". Default: value i is class i."""
    fractions: dict[Split, Annotated[float, Field(gt=0, le=1)]] | None = None
    """Share of each split, above 0, e.g. {train: 0.8, val: 0.2}, when the split is not fixed by {split} or by the
    CSV; sum at most 1. No split is left without an image."""
    split_seed: int = Field(0, ge=0)
    """Seed of the fractional split."""
    value_range: Range | None = None
    """Raw values that become 0 and 1 in images of more than 8 bits, e.g. [0, 4095]; default: the whole range of their
    bits."""

    @model_validator(mode="before")
    @classmethod
    def _keys_as_text(cls, value: Any) -> Any:
        # YAML reads `0:` and `255:` as integers, which JSON (and so the JSON Schema) cannot have as keys.
        if isinstance(value, dict) and isinstance(value.get("values"), dict):
            given = value["values"]
            value = {**value, "values": {str(key): item for key, item in given.items()}}
            if len(value["values"]) < len(given):
                raise ValueError("values holds a key both as a number and as text: remove one of the two")
        return value

    @field_validator("classes", mode="before")
    @classmethod
    def _two_classes(cls, value: Any) -> Any:
        if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str):
            raise ValueError(f"one class is not enough; for a binary mask write [background, {value[0]}]")
        return value

    @field_validator("classes")
    @classmethod
    def _class_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        with as_value_error():
            check_classes(value)
        return value

    @field_validator("values")
    @classmethod
    def _meanings(cls, value: dict[str, str] | None, info: ValidationInfo) -> dict[str, str] | None:
        if "classes" in info.data:  # else they are wrong themselves
            with as_value_error():
                mask_values(value, info.data["classes"])
        return value

    @model_validator(mode="after")
    def _one_source(self) -> "FolderData":
        if (self.csv is None) == (self.images is None and self.masks is None):
            raise ValueError(
                f"give either csv or images and masks (csv: {self.csv}, images: {self.images}, masks: {self.masks})"
            )
        if self.csv is None and (self.images is None or self.masks is None):
            raise ValueError(f"images and masks belong together (images: {self.images}, masks: {self.masks})")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"value_range must be [low, high] with low < high, not {list(self.value_range)}")
        if self.fractions is not None and sum(self.fractions.values()) > 1 + 1e-9:
            raise ValueError(f"the fractions add up to {sum(self.fractions.values()):g}, more than 1")
        return self


Data = Annotated[ShapesData | CamvidData | FolderData, Field(discriminator="name")]


class CropClasses(Settings):
    """Crops placed by the classes that they hold, against imbalance; both parts are off by default."""

    probability: float = Field(0.0, ge=0, le=1)
    """Probability, 0 to 1, that a crop is placed so that it holds a pixel of a class drawn among those of the image."""
    temperature: float | None = Field(0.01, gt=0)
    """How much rare classes are preferred in that draw, above 0: the chance of a class is proportional to
    exp((1 - share) / temperature), with its share of the pixels of the training split. None: all are alike."""
    max_share: float = Field(1.0, gt=0, le=1)
    """Largest share of one class in a crop's pixels without void, above 0 to 1; every crop above it is placed anew."""
    tries: int = Field(10, ge=1)
    """Places that are tried for a crop below max_share, at least 1; when none is, the one nearest to it is taken."""


class Augment(Settings):
    """Random changes of training images; validation and test images are never changed."""

    crop: Size | None = None
    """Height and width in pixels of the random crop; images that are smaller are padded, their labels with void.
    None: whole image."""
    crop_classes: CropClasses = CropClasses()
    """Where the random crop lies by the classes that it then holds; by default anywhere."""
    scale: Range = (1.0, 1.0)
    """Range of the random scale factor, drawn uniformly and applied before the crop, above 0."""
    horizontal_flip: float = Field(0.5, ge=0, le=1)
    """Probability of a left-right flip, 0 to 1."""
    brightness: float = Field(0.0, ge=0, le=1)
    """Largest relative change of brightness, 0 to 1; the change is drawn uniformly."""
    contrast: float = Field(0.0, ge=0, le=1)
    """Largest relative change of contrast, 0 to 1; the change is drawn uniformly."""
    saturation: float = Field(0.0, ge=0, le=1)
    """Largest relative change of saturation, 0 to 1; the change is drawn uniformly."""
    hue: float = Field(0.0, ge=0, le=0.5)
    """Largest change of hue as a fraction of the colour circle, 0 to 0.5; the change is drawn uniformly."""

    @model_validator(mode="after")
    def _ordered(self) -> "Augment":
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be [low, high] with 0 < low <= high, not {list(self.scale)}")
        placed = self.crop_classes
        if self.crop is None and (placed.probability > 0 or placed.max_share < 1):
            raise ValueError("crop_classes needs a crop: set augment.crop to [height, width]")
        return self

"""What a tutorial does: Lightning's defaults, fp32, contiguous, smp's network and losses, torchmetrics in every step,
albumentations with normalisation, PNG files decoded whenever they are read."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import albumentations as A
import cv2
import pytorch_lightning as pl
import segmentation_models_pytorch as smp
import torch
from albumentations.pytorch import ToTensorV2
from gpu_sections.cases import Case, data_of, settings_of
from gpu_sections.rivals import LossFunction, network_of
from pytorch_lightning.loggers import CSVLogger
from torch.nn import functional as F
from torchmetrics.classification import MulticlassJaccardIndex

from segsuite.datasets.base import VOID
from segsuite.datasets.camvid import RAW_VOID

if TYPE_CHECKING:
    from sectioned import Context

CLASSES = RAW_VOID


def combined() -> LossFunction:
    """Cross entropy, and dice and focal loss of smp."""
    dice = smp.losses.DiceLoss("multiclass", ignore_index=VOID)
    focal = smp.losses.FocalLoss("multiclass", ignore_index=VOID)

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = F.cross_entropy(logits, labels, ignore_index=VOID)
        return found + dice(logits, labels) + focal(logits, labels)

    return loss


class Files(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Training images of CamVid's folder, augmented as the suite's are."""

    def __init__(self, root: Path, case: Case) -> None:
        self.images = sorted((root / "train").glob("*.png"))
        self.masks = [root / "trainannot" / path.name for path in self.images]
        augment = settings_of(case, data_of(root, 0)).augment
        height, width = case.crop
        low, high = augment.scale
        self.transform = A.Compose(
            [
                A.RandomScale((low - 1, high - 1), p=1.0),
                A.PadIfNeeded(height, width, border_mode=cv2.BORDER_CONSTANT, fill=0, fill_mask=VOID),
                A.RandomCrop(height, width),
                A.HorizontalFlip(),
                A.ColorJitter(augment.brightness, augment.contrast, augment.saturation, 0, p=1.0),
                A.Normalize(),
                ToTensorV2(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = cv2.cvtColor(cv2.imread(str(self.images[index])), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(self.masks[index]), cv2.IMREAD_GRAYSCALE)
        mask[mask == RAW_VOID] = VOID
        made = self.transform(image=image, mask=mask)
        return made["image"], made["mask"].long()


class Recipe(pl.LightningModule):
    """The module of a tutorial, and the times at which its steps begin."""

    def __init__(self, case: Case, loss: LossFunction) -> None:
        super().__init__()
        self.network, self.loss = network_of(case, CLASSES), loss
        self.jaccard = MulticlassJaccardIndex(CLASSES, ignore_index=VOID)
        self.times: list[float] = []
        self.now: Callable[[], float] = time.perf_counter

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.times.append(self.now())
        images, labels = batch
        logits = self.network(images)
        loss = self.loss(logits, labels)
        self.jaccard(logits, labels)
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("miou", self.jaccard, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), 1e-3)


def seconds_a_step(
    case: Case, context: "Context", loss: LossFunction, warmup: int, timed: int, now: Callable[[], float]
) -> float:
    """The mean by the clock `now` of `timed` steps after `warmup`, data included."""
    assert context.data is not None
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    recipe = Recipe(case, loss)
    recipe.now = now
    loader = torch.utils.data.DataLoader(Files(context.data, case), batch_size=case.batch, shuffle=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1 + (warmup + timed) // len(loader),
        max_steps=warmup + timed + 1,
        logger=CSVLogger(context.folder / "stock"),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(recipe, loader)
    return (recipe.times[warmup + timed] - recipe.times[warmup]) / timed

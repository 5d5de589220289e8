"""Batch norm of a pretrained encoder that is kept as it is: for small batches.

The statistics of a small batch are worse than those that the encoder was pretrained with. Frozen, its batch norms
keep mean, variance, weight and bias, whatever the training does (as in detectors, He et al. 2017, arXiv 1703.06870,
and in torchvision's FrozenBatchNorm2d); everything else of the encoder trains. They are buffers then, so no optimizer
sees them, and they do not count as parameters. Paths and state dict stay the same, so checkpoints and weights fit.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.encoders.library import Encoder
from segsuite.errors import ConfigError, unknown_name
from segsuite.io.imports import without
from segsuite.models.layer_settings import ENCODER_NORMALISATIONS, SYNCHRONISED, instead_of_synchronised

with without("wandb"):  # see encoders/library.py
    from timm.layers.norm_act import BatchNormAct2d

REPLACEABLE = (nn.BatchNorm2d, BatchNormAct2d)
STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class FrozenBatchNorm(nn.Module):
    """Batch norm in evaluation for ever: (N, C, H, W) -> (N, C, H, W); then what `norm` holds, which in timm's
    networks are its dropout and activation."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        for name in STATE:
            value = getattr(norm, name)
            self.register_buffer(name, None if value is None else value.detach())
        for name, child in norm.named_children():
            self.add_module(name, child)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        mean_C, var_C, weight_C, bias_C = self.running_mean, self.running_var, self.weight, self.bias
        y_NCHW = F.batch_norm(x_NCHW, mean_C, var_C, weight_C, bias_C, False, 0.0, self.eps)  # type: ignore[arg-type]
        for child in self.children():
            y_NCHW = child(y_NCHW)
        return y_NCHW


def normalise_encoder(encoder: Encoder, normalisation: str) -> Encoder:
    """`encoder` with every batch norm frozen, in place, for "frozen_batch"; as it is for "own".

    Raises ConfigError for another name, and when there is no batch norm.
    """
    if normalisation not in ENCODER_NORMALISATIONS:
        raise ConfigError(
            unknown_name("encoder_normalisation", normalisation, ENCODER_NORMALISATIONS),
            advice=instead_of_synchronised("own") if normalisation == SYNCHRONISED else "",
        )
    if normalisation == "own":
        return encoder
    found = [(path, module) for path, module in encoder.body.named_modules() if isinstance(module, nn.BatchNorm2d)]
    if not found:
        raise ConfigError(
            f"encoder_normalisation is '{normalisation}', but encoder '{encoder.name}' has no batch norm",
            "model.encoder_normalisation",
            "leave encoder_normalisation out",
        )
    for path, norm in found:
        if type(norm) not in REPLACEABLE:  # it may compute something else
            raise ConfigError(
                f"encoder '{encoder.name}' has a normalisation of its own kind, {type(norm).__name__}",
                "model.encoder_normalisation",
                "leave encoder_normalisation out",
            )
        parent, _, name = path.rpartition(".")
        setattr(encoder.body.get_submodule(parent), name, FrozenBatchNorm(norm))
    return encoder

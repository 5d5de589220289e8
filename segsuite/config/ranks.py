"""Whether a trial's settings fit the number of its processes, checked without torch."""

from typing import TYPE_CHECKING

from segsuite.errors import ConfigError

if TYPE_CHECKING:
    from segsuite.config.trial import TrialSettings


def check_ranks(settings: "TrialSettings") -> None:
    """Raises ConfigError unless every rank gets as many images of a batch, and the strategy has what is asked for."""
    execution, train = settings.execution, settings.train
    if train.batch_size % execution.ranks:
        raise ConfigError(
            f"train.batch_size is {train.batch_size}, which {execution.nodes} x {execution.devices} processes "
            "(execution.nodes x execution.devices) cannot share evenly",
            advice=f"make it a multiple of {execution.ranks}: it is the batch of all processes together",
        )
    if execution.ranks > 1 and execution.device == "mps":
        raise ConfigError(
            f"execution.device is mps, which {execution.ranks} processes cannot share",
            advice="set execution.nodes and execution.devices to 1",
        )
    if execution.strategy == "fsdp":
        check_sharded(settings)


def check_sharded(settings: "TrialSettings") -> None:
    """Raises ConfigError where a training cannot be spread by FSDP."""
    if settings.execution.device == "cpu":
        raise ConfigError(
            "execution.strategy is fsdp and execution.device cpu, on which it does not run",
            advice="set execution.strategy to ddp, or execution.device to cuda",
        )
    unsupported = {
        "train.ema_decay": settings.train.ema_decay is not None,
        "train.freeze_encoder_epochs": settings.train.freeze_encoder_epochs > 0,
        "checkerboard.measure": settings.checkerboard.measure,
    }
    for name, is_set in unsupported.items():
        if is_set:
            raise ConfigError(
                f"execution.strategy is fsdp, which does not have {name}",
                advice=f"leave out {name}, or set execution.strategy to ddp",
            )

"""Settings of training, evaluation and execution."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segsuite.config.base import Settings


class Optimizer(Settings):
    """How weights are updated."""

    name: Literal["adamw", "sgd"] = "adamw"
    """Which optimizer."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate, above 0."""
    encoder_learning_rate: float | None = Field(None, gt=0)
    """Peak learning rate of the encoder, above 0; None: the same as learning_rate."""
    weight_decay: float = Field(1e-4, ge=0)
    """Decay of all weights but biases and normalisation, at least 0."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of sgd (Nesterov), first moment decay of adamw; 0 to below 1."""
    reference_batch_size: int | None = Field(None, ge=1)
    """Images an optimizer step for which the learning rates are meant, at least 1: they are multiplied by (batch_size x
    accumulate) / this (Goyal et al. 2017). None: they are taken as they are."""


class Schedule(Settings):
    """How the learning rate moves from its peak, per optimizer step."""

    name: Literal["poly", "cosine", "step", "constant"] = "poly"
    """poly: (1 - t)^power; cosine: half a cosine; step: times `gamma` at each of `milestones`; constant."""
    warmup_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of all steps in which the rate rises linearly from near 0 to its peak, 0 to below 1."""
    power: float = Field(0.9, gt=0)
    """Exponent of poly, above 0."""
    milestones: tuple[Annotated[float, Field(ge=0, le=1)], ...] = (0.6, 0.85)
    """For step: shares of all steps, 0 to 1, rising."""
    gamma: float = Field(0.1, gt=0, le=1)
    """For step: factor at each milestone, above 0 to 1."""

    @model_validator(mode="after")
    def _rising(self) -> "Schedule":
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must rise, not {list(self.milestones)}")
        return self


class Train(Settings):
    """Training."""

    epochs: int = Field(20, ge=1)
    """Passes over the training split, at least 1."""
    batch_size: int = Field(8, ge=1)
    """Images a step, of all processes of the trial together (execution.nodes x execution.devices), at least 1."""
    optimizer: Optimizer = Optimizer()
    """How weights are updated."""
    schedule: Schedule = Schedule()
    """How the learning rate moves."""
    precision: Literal["auto", "fp32", "bf16-mixed", "fp16-mixed"] = "auto"
    """auto: bf16-mixed where the processor computes it natively (CUDA, CPUs with AMX or AVX512_BF16), else fp32."""
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are summed before an optimizer step, at least 1."""
    gradient_clip: float | None = Field(None, gt=0)
    """Largest norm of the gradient, above 0; None: not clipped."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of the exponential moving average of the weights, which is then what is evaluated; between 0 and 1;
    None: off."""
    freeze_encoder_epochs: int = Field(0, ge=0)
    """Epochs in which the encoder is not trained and its normalisation not updated, at least 0."""
    early_stopping_patience: int | None = Field(None, ge=1)
    """Validations without a better mIoU after which training ends, at least 1; None: never."""
    validate_every: int = Field(1, ge=1)
    """Epochs between validations on val, at least 1; the final score is computed after the last epoch in any case."""
    max_steps: int | None = Field(None, ge=1)
    """Ends training after so many optimizer steps, at least 1; None: after `epochs`."""
    repeat_threshold: float | None = Field(None, gt=0, le=1)
    """Share of the training images, above 0 to 1: images with a class that fewer have are drawn more often, by
    max(1, sqrt(repeat_threshold / share of images with the class)), others less often: an epoch has as many images as
    without it. None: each image once an epoch."""
    overfit_batches: int = Field(0, ge=0)
    """A sanity run: train without augmentation on so many fixed batches and evaluate on the same images; 0: off."""
    match_gradient_norm: bool = False
    """Multiply the loss by the constant that makes the norm of its gradient to the logits, on the first batch, that of
    plain cross entropy, so that losses are not compared at different step sizes."""
    full_resolution: Literal["direct", "fused"] = "direct"
    """How the loss at the labels' resolution is computed, the same up to rounding. direct: from logits enlarged to it;
    fused: from the logits before that, strip by strip, in a fraction of the memory: for networks that end in bilinear
    interpolation, and all losses but lovasz_softmax and boundary."""
    deterministic: Literal["off", "warn", "strict"] = "off"
    """Whether operators without a deterministic CUDA version are let be, warned of or refused."""

    @model_validator(mode="after")
    def _compatible(self) -> "Train":
        if self.deterministic == "strict" and self.precision == "fp16-mixed":
            raise ValueError(
                "deterministic: strict and precision: fp16-mixed exclude each other (the loss scale adapts)"
            )
        return self

    @property
    def effective_batch(self) -> int:
        """Images an optimizer step, of all processes together."""
        return self.batch_size * self.accumulate

    @property
    def learning_rate_factor(self) -> float:
        """What all learning rates are multiplied by."""
        reference = self.optimizer.reference_batch_size
        return self.effective_batch / reference if reference else 1.0


class Evaluation(Settings):
    """What is scored at the end, at the labels' own resolution."""

    split: Literal["train", "val", "test"] = "val"
    """Which split is scored."""
    checkpoint: Literal["last", "best"] = "last"
    """last: the final weights. best: the epoch with the best val mIoU, a score that flatters when the same split
    is scored."""
    output_stride: Literal[8, 16, 32] | None = None
    """Stride of the encoder's last features when the final weights are scored, in pixels, with rates that see the same
    places of the image; validations in training keep model.output_stride. None: model.output_stride, too. Only
    deeplabv3 and deeplabv3plus with upsampler bilinear, joint_bilateral or transposed_bilinear."""


class Execution(Settings):
    """How a trial is executed; nothing here is part of its identity."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where it runs; auto: CUDA, else MPS, else the CPU."""
    nodes: int = Field(1, ge=1)
    """Machines that train the trial together, at least 1; above 1 under SLURM."""
    devices: int = Field(1, ge=1)
    """Processes of the trial on each machine, at least 1: one a GPU, or on a CPU."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """How several processes share the training. ddp: each has the whole network; fsdp: weights and the optimizer's
    state are spread over GPUs."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that read and augment images, for each process that trains, at least 0; 0: it does so itself. auto:
    where a GPU trains, as many as there are cores for it, at most 8, or 1 where the data is on it; else 0."""
    data_on_device: bool | Literal["auto"] = "auto"
    """Whether the training images are kept in the device's memory and augmented there, by the same random numbers:
    labels are the same, pixels within one of 256 levels a step. auto: on a GPU, where they take at most a quarter of
    its free memory and are of 8 bits, without augment.hue."""
    threads: int | None = Field(None, ge=1)
    """CPU threads for computing of each process, at least 1; None: OMP_NUM_THREADS if set, else the cores that are free
    when the trial starts, and as many again where it is continued. Workers have one each."""
    cuda_graphs: bool = False
    """Whether a training step is replayed from a CUDA graph, which spares a small network the launching of its kernels;
    on one GPU, without accumulation or fp16-mixed, with augment.crop."""
    cache_images: bool | Literal["auto"] = "auto"
    """Whether decoded images are kept in a file that all processes of the machine map into their memory, made once in
    ~/.cache/segsuite/decoded ($XDG_CACHE_HOME): CamVid needs 0.3 GB. auto: where they take at most 4 GiB and half of
    the free disk."""
    evaluation_batch_size: int = Field(4, ge=1)
    """Images a step of each process in validation, at least 1; images of different sizes go one by one."""
    checkpoint_minutes: float = Field(5.0, gt=0)
    """Longest time between two saves of last.ckpt within an epoch, in minutes, above 0. An epoch's end saves too,
    unless saving would then take more than a tenth of the time."""
    keep: Literal["weights", "all"] = "weights"
    """What stays of the checkpoints of a finished trial. weights: what is scored, predicts and is inspected; all: also
    the state of the optimizer, several times as large, which nothing needs again: more epochs are another trial."""

    @property
    def ranks(self) -> int:
        """Processes that train the trial together."""
        return self.nodes * self.devices

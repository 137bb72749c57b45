"""A run's settings: one dataclass per group, stored in the run and in its checkpoints.

This is the list of all that can be set, with types and defaults; settings.py fills it from YAML and from the command
line. Environment variables configure nothing.
"""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from training.errors import TrainingError


@dataclass
class Detector:
    name: str = "mesonet4"  # a file in training/detectors/
    options: dict[str, Any] = field(default_factory=dict)  # passed to its build()


@dataclass
class Optimiser:
    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])  # adam, adamw
    eps: float = 1e-8  # adam, adamw
    momentum: float = 0.9  # sgd
    weight_decay: float = 0.0
    clip_norm: float | None = None  # gradients are scaled down to this norm


@dataclass
class Schedule:
    name: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0  # linear from 0
    final: float = 0.0  # cosine ends at this share of the learning rate


@dataclass
class Augment:
    flip: float = 0.0  # probability of a horizontal flip
    jpeg: float = 0.0  # probability of a JPEG round trip
    jpeg_quality: list[int] = field(default_factory=lambda: [40, 95])  # drawn evenly, both ends included
    colour: float = 0.0  # probability of a change of brightness and contrast
    brightness: float = 0.1  # at most, as a share of the full range
    contrast: float = 0.1  # at most, as a share of the contrast


@dataclass
class Config:
    # places, see _PLACES
    train: str | None = None  # a pinned manifest, a pin's name in the store, or a .sql file
    val: str | None = None
    test: list[str] = field(default_factory=list)
    store: str = "store"
    shards: str | None = None  # folder of the shards, or an address as hf://datasets/...; null: beside the splits
    cache: str | None = None  # folder for bytes from an address and materialised splits; null: ~/.cache/deepshard
    cache_gb: float = 50.0  # what bytes from an address may take there
    offline: bool = False  # ask no address for anything: what is cached must do
    catalog: str = "catalog.duckdb"  # opened only to pin .sql files and to ingest predictions
    name: str | None = None  # of the run; null: made from the configuration's name and the time
    resume: str | None = None  # a run's name, its folder or a checkpoint folder: continue it
    evaluate: str | None = None  # likewise: only score --test, train nothing

    # what is learnt, and how
    init_from: str | None = None  # a run's name, its folder or a checkpoint: start from its selected weights
    trains: Literal["all", "transfer"] = "all"  # transfer: only what the detector names for it, the rest is frozen
    detector: Detector = field(default_factory=Detector)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    augment: Augment = field(default_factory=Augment)

    epochs: int = 10
    patience: int | None = None  # stop after so many epochs without a better --val
    batch_size: int = 32  # global: over all processes and accumulation steps
    accumulate: int = 1  # forward passes per optimiser step
    order: Literal["shuffled", "balanced", "weighted", "videos", "paired", "domains", "alternate"] = "shuffled"
    per_video: int | None = None  # frames of one video side by side, with order: videos
    samples_per_epoch: int | None = None  # null: each face once, or as the order says
    seed: int = 0
    unreadable: Literal["raise", "record"] = "raise"  # a face that cannot be read: stop, or go on without and record it
    select: str = "frame_auc"  # on --val: loss, or (frame|video)_(auc|eer|ap|accuracy)

    # how it is computed
    precision: Literal["no", "fp16", "bf16"] = "no"
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False  # only algorithms that give the same bits each time
    sync_batchnorm: bool = False  # statistics over all GPUs

    processes: int | None = None  # start, or expect, this many
    cpu: bool = False  # stay off the GPUs
    workers: int | None = None  # loader processes per process; null: from the number of cores
    threads: int | None = None  # arithmetic threads per process; null: from the number of cores
    eval_batch_size: int | None = None  # global; null: twice batch_size

    # what is reported
    log_every: int = 20  # steps
    checkpoint_every: int | None = None  # steps; null: at the end of every epoch only
    tracker: Literal["tensorboard", "none"] = "tensorboard"
    trace: bool = False  # write the sample ids of every step, one file per process

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def without_places(self) -> dict[str, Any]:
        """What decides the result, without the paths and names of one machine: this is what a checkpoint carries."""
        return {name: value for name, value in self.as_dict().items() if name not in _PLACES}


_SPLITS = ("train", "val", "test")
_STORE = ("store", "shards", "cache", "cache_gb", "offline", "catalog")
_MACHINE = ("processes", "cpu", "workers", "threads", "eval_batch_size")
_PLACES = (*_SPLITS, *_STORE, "name", "resume", "evaluate")

# What may change when a run is resumed: where and how fast it runs, how long, and what is reported.
RESUMABLE = frozenset(
    (*_SPLITS, *_STORE, *_MACHINE, "resume", "epochs", "log_every", "checkpoint_every", "tracker", "trace")
)
# What may be said with --evaluate: what is scored, where, and how fast.
EVALUATION = frozenset(("test", *_STORE, *_MACHINE, "evaluate", "precision", "channels_last", "compile"))


def check(config: Config) -> None:
    """Raise TrainingError for values that have the right type and cannot work."""
    for name, least in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("log_every", 1), ("seed", 0)):
        if getattr(config, name) < least:
            raise TrainingError(f"{name} must be at least {least}, not {getattr(config, name)}")
    for name, least in (
        ("patience", 1),
        ("processes", 1),
        ("workers", 0),
        ("threads", 1),
        ("checkpoint_every", 1),
        ("samples_per_epoch", 1),
        ("per_video", 1),
        ("eval_batch_size", 1),
    ):
        value = getattr(config, name)
        if value is not None and value < least:
            raise TrainingError(f"{name} must be at least {least} or null, not {value}")
    if config.select != "loss" and not re.fullmatch(r"(frame|video)_(auc|eer|ap|accuracy)", config.select):
        raise TrainingError(
            f"select must be loss, or frame_ or video_ and auc, eer, ap or accuracy, not {config.select!r}"
        )
    if (config.per_video is None) == (config.order == "videos"):
        raise TrainingError(
            "per_video says how many frames of a video are side by side: give it with --order videos, and only then"
        )
    if config.optimiser.lr <= 0:
        raise TrainingError(f"optimiser.lr must be above 0, not {config.optimiser.lr}")
    if len(config.optimiser.betas) != 2:
        raise TrainingError(f"optimiser.betas must be two numbers, not {config.optimiser.betas}")
    augment = config.augment
    for name in ("flip", "jpeg", "colour"):
        if not 0 <= getattr(augment, name) <= 1:
            raise TrainingError(f"augment.{name} is a probability, not {getattr(augment, name)}")
    for name in ("brightness", "contrast"):
        if not 0 <= getattr(augment, name) < 1:
            raise TrainingError(f"augment.{name} must be at least 0 and below 1, not {getattr(augment, name)}")
    quality = augment.jpeg_quality
    if len(quality) != 2 or not 1 <= quality[0] <= quality[1] <= 100:
        raise TrainingError(f"augment.jpeg_quality must be two numbers, lowest first, from 1 to 100, not {quality}")
    if config.name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.=+-]*", config.name):
        raise TrainingError(f"name must be letters, digits and _ . = + - (it names a folder), not {config.name!r}")

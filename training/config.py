"""A run's settings: one dataclass, filled from YAML, overridden on the command line, stored in the run and its checkpoints.

An unknown name is an error with the nearest known ones, and every value is checked against its field's type, because a
misspelt option that is silently ignored costs a week of training. YAML is read with 1.2's rules (`no` is a word, `1e-4`
a number) and without duplicate keys. Environment variables configure nothing.
"""

import dataclasses
import difflib
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

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
    catalog: str = "catalog.duckdb"  # opened only to pin .sql files and to ingest predictions
    name: str | None = None  # of the run; null: made from the configuration's name and the time
    resume: str | None = None  # a run's name, its folder or a checkpoint folder: continue it
    evaluate: str | None = None  # likewise: only score --test, train nothing

    # what is learnt, and how
    detector: Detector = field(default_factory=Detector)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    augment: Augment = field(default_factory=Augment)

    epochs: int = 10
    batch_size: int = 32  # global: over all processes and accumulation steps
    accumulate: int = 1  # forward passes per optimiser step
    order: Literal["shuffled", "balanced"] = "shuffled"  # balanced: every slice of a batch is half real, half fake
    seed: int = 0
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


_PLACES = ("train", "val", "test", "store", "catalog", "name", "resume", "evaluate")

# What may change when a run is resumed: where and how fast it runs, how long, and what is reported.
RESUMABLE = frozenset(
    ["train", "val", "test", "store", "catalog", "resume", "epochs", "processes", "cpu", "workers", "threads", "eval_batch_size", "log_every", "checkpoint_every", "tracker", "trace"]
)


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's booleans and floats, refusing duplicate keys."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise TrainingError(f"{key!r} is given twice, line {key_node.start_mark.line + 1}: keep one of them")
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, regexp) for tag, regexp in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$"),
    list("-+.0123456789"),
)


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise TrainingError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def type_name(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return " | ".join(map(str, typing.get_args(kind)))
    if isinstance(kind, types.UnionType):
        return " or ".join("null" if part is types.NoneType else type_name(part) for part in typing.get_args(kind))
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def _convert(value: Any, kind: Any, name: str) -> Any:
    """`value` as `kind`; raises TrainingError naming the setting, its type and the value."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _fill(kind(), value, name)
    if origin is Literal and value in arguments and isinstance(value, str):
        return value
    if isinstance(kind, types.UnionType):
        if value is None and types.NoneType in arguments:
            return None
        return _convert(value, next(part for part in arguments if part is not types.NoneType), name)
    if origin is list:
        items = value if isinstance(value, list) else [value]
        return [_convert(item, arguments[0], name) for item in items]
    if origin is dict and isinstance(value, dict):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise TrainingError(f"{name} must be {type_name(kind)}, not {value!r}")


def _unknown(name: str, known: typing.Iterable[str]) -> TrainingError:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    # a nested setting given without its group ("lr") is a common slip
    near += [key for key in known if key.rpartition(".")[2] == name and key not in near]
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return TrainingError(f"there is no setting {name!r}: {hint}")


def settings(kind: type = Config, prefix: str = "") -> dict[str, Any]:
    """Every setting's dotted name -> its type, for example ``optimiser.lr`` -> float."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(kind):
        if dataclasses.is_dataclass(item.type):
            found |= settings(item.type, f"{prefix}{item.name}.")
        else:
            found[prefix + item.name] = item.type
    return found


def _fill(target: Any, values: Any, prefix: str = "") -> Any:
    """A copy of the dataclass `target` with `values` (a nested mapping) in it."""
    if not isinstance(values, dict):
        raise TrainingError(f"{prefix or 'a configuration'} must be a mapping of settings, not {values!r}")
    fields = {item.name: item for item in dataclasses.fields(target)}
    changed = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if key not in fields:
            raise _unknown(name, settings())
        kind = fields[key].type
        if dataclasses.is_dataclass(kind):
            changed[key] = _fill(getattr(target, key), value, name)
        else:
            changed[key] = _convert(value, kind, name)
    return dataclasses.replace(target, **changed)


def _nested(dotted: dict[str, Any]) -> dict[str, Any]:
    """{"optimiser.lr": 1} -> {"optimiser": {"lr": 1}}"""
    tree: dict[str, Any] = {}
    for name, value in dotted.items():
        *groups, last = name.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
            if not isinstance(branch, dict):
                raise TrainingError(f"{name} and {group} cannot both be given on the command line")
        branch[last] = value
    return tree


def _starts_setting(word: str, known: typing.Container[str]) -> bool:
    name, equals, _ = word.partition("=")
    return word.startswith("--") or bool(equals and (name in known or name.startswith("detector.options.")))


def parse_overrides(arguments: list[str]) -> dict[str, Any]:
    """Command-line words -> dotted settings. Takes ``--epochs 3``, ``--epochs=3``, ``epochs=3``, ``--trace`` (a bare
    switch is true), ``--test a b`` and ``--test a --test b``; ``--detector.options.dropout 0.3`` reaches any depth.
    Values are YAML. Raises TrainingError for an unknown setting, a missing or a stray value.
    """
    known = settings()
    found: dict[str, Any] = {}

    def kind_of(name: str) -> Any:
        if name in known:
            return known[name]
        if name.startswith("detector.options."):
            return Any
        raise _unknown(name, known)

    def text_or_yaml(kind: Any, text: str, name: str) -> Any:
        wants_text = kind in (str, str | None, list[str])
        return text if wants_text and text not in ("null", "") else _yaml(text, f"--{name}")

    words = list(arguments)
    while words:
        word = words.pop(0)
        match = re.match(r"^--([A-Za-z][\w.\-]*)(?:=(.*))?$|^([A-Za-z][\w.]*)=(.*)$", word, re.DOTALL)
        if not match:
            raise TrainingError(f"cannot read {word!r}: settings are given as --name value or name=value")
        name = (match[1] or match[3]).replace("-", "_")
        value = match[2] if match[1] else match[4]
        kind = kind_of(name)
        several = typing.get_origin(kind) is list
        given = [value] if value is not None else []
        if value is None:
            while words and not _starts_setting(words[0], known) and (several or not given):
                given.append(words.pop(0))
        if not given and kind is bool:
            given = ["true"]
        if not given:
            raise TrainingError(f"--{name} needs a value ({type_name(kind)})")
        read = [text_or_yaml(kind, text, name) for text in given]
        if several:
            flat = [item for entry in read for item in (entry if isinstance(entry, list) else [entry])]
            found[name] = found.get(name, []) + [item for item in flat if item is not None]
        elif name in found:
            raise TrainingError(f"--{name} is given twice: keep one of them")
        else:
            found[name] = read[0]
    return found


def load_config(path: str | Path | None, overrides: dict[str, Any] | None = None) -> Config:
    """The configuration of a YAML file (None: the defaults) with dotted `overrides` applied.

    Raises TrainingError for unknown names, wrong types and values that cannot work; the message names the file.
    """
    config = Config()
    if path is not None:
        path = Path(path)
        if not path.is_file():
            beside = sorted(str(found) for found in Path(__file__).parent.joinpath("configs").glob("*.yaml"))
            raise TrainingError(
                f"there is no configuration {path}; the ones that come with deepshard: {', '.join(beside)}"
            )
        try:
            config = _fill(config, _yaml(path.read_text(encoding="utf-8"), str(path)) or {})
        except TrainingError as error:
            raise TrainingError(f"{path}: {error}") from error
    config = with_overrides(config, overrides or {})
    check(config)
    return config


def with_overrides(config: Config, overrides: dict[str, Any]) -> Config:
    """`config` with dotted `overrides` applied, types checked."""
    return _fill(config, _nested(overrides))


def from_dict(values: dict[str, Any]) -> Config:
    """A configuration as `as_dict` gave it (a checkpoint's); raises TrainingError where this version has no such name."""
    return _fill(Config(), values)


def check(config: Config) -> None:
    """Raise TrainingError for values that have the right type and cannot work."""
    for name, least in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("log_every", 1), ("seed", 0)):
        if getattr(config, name) < least:
            raise TrainingError(f"{name} must be at least {least}, not {getattr(config, name)}")
    for name, least in (
        ("processes", 1),
        ("workers", 0),
        ("threads", 1),
        ("checkpoint_every", 1),
        ("eval_batch_size", 1),
    ):
        value = getattr(config, name)
        if value is not None and value < least:
            raise TrainingError(f"{name} must be at least {least} or null, not {value}")
    if config.select != "loss" and not re.fullmatch(r"(frame|video)_(auc|eer|ap|accuracy)", config.select):
        raise TrainingError(
            f"select must be loss, or frame_ or video_ and auc, eer, ap or accuracy, not {config.select!r}"
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

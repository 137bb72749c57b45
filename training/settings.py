"""Settings from YAML files and command lines, checked against the dataclasses of config.py.

An unknown name is an error with the nearest known ones, and every value is checked against its field's type, because a
misspelt option that is silently ignored costs a week of training. YAML is read with 1.2's rules (`no` is a word, `1e-4`
a number) and without duplicate keys.
"""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from training.config import Config, check
from training.errors import TrainingError


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


def read_yaml(text: str, where: str) -> Any:
    """What a YAML text says, by 1.2's rules; `where` names it in the TrainingError for what is not YAML."""
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
        return text if wants_text and text not in ("null", "") else read_yaml(text, f"--{name}")

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


def load_config(paths: str | Path | Sequence[str | Path] | None, overrides: dict[str, Any] | None = None) -> Config:
    """The configuration of a YAML file, or of several of which the later ones go on top (None: the defaults), with
    dotted `overrides` applied.

    Raises TrainingError for unknown names, wrong types and values that cannot work; the message names the file.
    """
    config = Config()
    paths = [paths] if isinstance(paths, str | Path) else paths or []
    for path in map(Path, paths):
        if not path.is_file():
            beside = sorted(str(found) for found in Path(__file__).parent.joinpath("configs").glob("*.yaml"))
            raise TrainingError(
                f"there is no configuration {path}; the ones that come with deepshard: {', '.join(beside)}"
            )
        try:
            config = _fill(config, read_yaml(path.read_text(encoding="utf-8"), str(path)) or {})
        except TrainingError as error:
            raise TrainingError(f"{path}: {error}") from error
    config = with_overrides(config, overrides or {})
    check(config)
    return config


def with_overrides(config: Config, overrides: dict[str, Any]) -> Config:
    """`config` with dotted `overrides` applied, types checked."""
    return _fill(config, _nested(overrides))


def from_dict(values: dict[str, Any]) -> Config:
    """A configuration as `as_dict` gave it; raises TrainingError where this version has no such setting."""
    return _fill(Config(), values)

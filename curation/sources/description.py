"""The YAML file that describes a folder of videos or images: its keys, and what may stand behind them.

Everything is checked before a single folder is read: an unknown key, a number where a name was meant (YAML reads
``071`` as 57), a template that nothing fills. What a file's description means for one path is in ``labelling``.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from curation.sources.error import SourceError, check_known, few
from curation.sources.pattern import check_template, compile_glob
from curation.sources.source import Alias

# what can be said of a video: at the top (for all), in a rule, by a group of the regex, or by a column of the manifest
FIELDS = (
    "label",
    "method",
    "category",
    "quality",
    "name",
    "target_id",
    "source_id",
    "visible_id",
    "original",
    "original_video",
    "split",
    "mask",
)
KINDS = {"videos": "video", "images": "image", "frames": "frames"}
PATH_PARTS = ("path", "folder", "file", "stem")  # of "a/b/c.mp4": itself, "a/b", "c.mp4", "c"

_KEYS = (
    "dataset",
    "source",
    "root",
    "licence",
    "redistributable",
    "kind",
    "include",
    "exclude",
    "keep_extension",
    "aligned",
    "namespace",
    "regex",
    "manifest",
    "rules",
    "values",
    "aliases",
    *FIELDS,
)
_SHIPPED = tuple(Path(__file__).with_name(folder) for folder in ("private", "paper4"))
_ALIASES = ("person", "recording", "footage")
_MANIFEST_KEYS = ("file", "path", "columns", "delimiter")


@dataclass(frozen=True)
class Rule:
    """What is said of the files that a glob matches; ``fields`` are templates."""

    match: tuple[str, ...]
    globs: tuple[re.Pattern[str], ...]
    fields: dict[str, str]


@dataclass(frozen=True)
class ManifestKeys:
    """A CSV file with one row per video. ``path`` and the values of ``columns`` are column names, or templates."""

    file: str
    path: str
    columns: dict[str, str]
    delimiter: str


@dataclass(frozen=True)
class Description:
    """A checked description; ``raw`` is the YAML as it was read."""

    file: Path
    raw: dict[str, Any]
    dataset: str
    source: str
    root: str | None
    licence: str
    redistributable: bool
    kind: str
    include: tuple[str, ...] | None
    exclude: tuple[str, ...]
    keep_extension: bool
    aligned: bool
    namespace: str
    regex: re.Pattern[str] | None
    manifest: ManifestKeys | None
    rules: tuple[Rule, ...]
    values: dict[str, dict[str, str | None]]
    fields: dict[str, str]
    aliases: tuple[Alias, ...]


def shipped() -> list[str]:
    """The descriptions that come with deepshard, as they are named: ``private/TPDNE``."""
    return sorted(f"{folder.name}/{file.stem}" for folder in _SHIPPED for file in folder.glob("*.yaml"))


def find_description(name_or_path: str | Path) -> Path:
    """The file of a shipped description by its name, or of the user's own by its path (``.yaml``, ``.yml``).

    Raises SourceError for a name that is not shipped.
    """
    path = Path(name_or_path).expanduser()
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    check_known([str(name_or_path)], shipped(), "description (your own is a file that ends in .yaml)")
    return Path(__file__).parent / f"{name_or_path}.yaml"


def read_description(file: str | Path) -> Description:
    """Read and check a description. Raises SourceError that names the file, the key, and what may stand there."""
    path = find_description(file)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except OSError as error:
        hint = "give the YAML file that describes the folder"
        raise SourceError(f"{path} cannot be read ({error.strerror}): {hint}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    try:
        return _check(path, raw)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [str(key) for number, key in enumerate(keys) if key in keys[:number]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _check(file: Path, raw: Any) -> Description:
    if not isinstance(raw, dict):
        raise SourceError('a description is "key: value" lines, at least dataset, licence, redistributable and kind.')
    check_known(raw, _KEYS, "key")
    missing = [key for key in ("dataset", "licence", "redistributable", "kind") if key not in raw]
    if missing:
        raise SourceError(
            f"{few(missing)} must be given (licence: unknown is an answer; redistributable: false keeps faces private; "
            f"kind: one of {', '.join(KINDS)})."
        )
    check_known([raw["kind"]], KINDS, "kind")
    regex = _regex(raw.get("regex"))
    groups = set(regex.groupindex) if regex else set()
    known = groups | set(PATH_PARTS)
    rules = tuple(_rule(rule, number, known) for number, rule in enumerate(_list(raw, "rules"), 1))
    fields = _fields({key: raw[key] for key in FIELDS if key in raw}, known, "top")
    _check_groups(groups, [fields, *(rule.fields for rule in rules)])
    values = _values(raw.get("values", {}))
    return Description(
        file=file,
        raw=raw,
        dataset=_text(raw, "dataset"),
        source=_text(raw, "source") if "source" in raw else _text(raw, "dataset"),
        root=_text(raw, "root") if "root" in raw else None,
        licence=_text(raw, "licence"),
        redistributable=_flag(raw, "redistributable"),
        kind=raw["kind"],
        include=_globs(raw, "include") if "include" in raw else None,
        exclude=_globs(raw, "exclude"),
        keep_extension=_flag(raw, "keep_extension"),
        aligned=_flag(raw, "aligned"),
        namespace=_text(raw, "namespace") if "namespace" in raw else _text(raw, "dataset"),
        regex=regex,
        manifest=_manifest(raw["manifest"]) if "manifest" in raw else None,
        rules=rules,
        values=values,
        fields=fields,
        aliases=_aliases(raw, file.name),
    )


def _text(raw: dict, key: str, where: str = "") -> str:
    value = raw[key]
    if not isinstance(value, str) or not value.strip():
        raise SourceError(
            f"{where}{key}: {value!r} is not text. Write it in quotes, as it stands on disk (YAML reads 071 as a "
            "number, no as false)."
        )
    return value


def _flag(raw: dict, key: str) -> bool:
    value = raw.get(key, False)
    if not isinstance(value, bool):
        raise SourceError(f"{key}: {value!r} is neither true nor false.")
    return value


def _list(raw: dict, key: str) -> list:
    value = raw.get(key, [])
    if not isinstance(value, list):
        raise SourceError(f"{key}: give a list (lines that begin with -).")
    return value


def _globs(raw: dict, key: str, where: str = "") -> tuple[str, ...]:
    value = raw.get(key, [])
    globs = [value] if isinstance(value, str) else value
    if not isinstance(globs, list) or not all(isinstance(glob, str) for glob in globs):
        raise SourceError(f"{where}{key}: give a glob or a list of globs, in quotes.")
    for glob in globs:
        compile_glob(glob)
    return tuple(globs)


def _regex(value: Any) -> re.Pattern[str] | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise SourceError("regex: give one regular expression in single quotes.")
    try:
        regex = re.compile(value)
    except re.error as error:
        raise SourceError(f"regex: {error} in {value!r}.") from error
    if not regex.groupindex:
        raise SourceError("regex: name its groups, like (?P<method>[^/]+), so that they say something of a video.")
    return regex


def _check_groups(groups: set[str], templates: list[dict[str, str]]) -> None:
    used = {word for fields in templates for template in fields.values() for word in re.findall(r"\{(\w+)\}", template)}
    taken = groups & set(PATH_PARTS)
    if taken:
        raise SourceError(f"regex: the group name {few(sorted(taken))} already means a part of the path, take another.")
    for group in sorted(groups - used):
        check_known([group], FIELDS, "regex: no template uses its group, and as a field")


def _rule(raw: Any, number: int, known: set[str]) -> Rule:
    where = f"rule {number}: "
    if not isinstance(raw, dict) or "match" not in raw:
        raise SourceError(f'{where}give a glob and what it says, like "- match: real/**" and under it "label: real".')
    check_known(raw, ("match", *FIELDS), f"{where}key")
    globs = _globs(raw, "match", where)
    if not globs:
        raise SourceError(f"{where}match: give at least one glob.")
    fields = _fields({key: value for key, value in raw.items() if key != "match"}, known, f"rule {number}")
    return Rule(globs, tuple(compile_glob(glob) for glob in globs), fields)


def _fields(raw: dict[str, Any], known: set[str], where: str) -> dict[str, str]:
    fields = {}
    for key, value in raw.items():
        if key == "label" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        fields[key] = _text({key: value}, key, f"{where}: ")
        check_template(fields[key], known, f"{where}: {key}")
    return fields


def _values(raw: Any) -> dict[str, dict[str, str | None]]:
    if not isinstance(raw, dict) or not all(isinstance(words, dict) for words in raw.values()):
        raise SourceError('values: give words for fields, like "label:" and under it "genuine: real".')
    check_known(raw, FIELDS, "values: key")
    values: dict[str, dict[str, str | None]] = {}
    for field, words in raw.items():
        for word, meaning in words.items():
            digit = field == "label" and type(word) is int and word in (0, 1)
            plain = field == "label" and type(meaning) is int and meaning in (0, 1)
            if not (isinstance(word, str) or digit) or not (meaning is None or isinstance(meaning, str) or plain):
                raise SourceError(
                    f"values: {field}: {word!r}: {meaning!r}: write both in quotes (null: nothing is said)."
                )
            values.setdefault(field, {})[str(word)] = None if meaning is None else str(meaning)
    return values


def _aliases(raw: dict, file: str) -> tuple[Alias, ...]:
    """``- {person: p12, is: "ffpp:043"}``: an id without a namespace is one of this set's."""
    aliases = []
    for number, said in enumerate(_list(raw, "aliases"), 1):
        where = f"aliases: {number}: "
        kinds = [kind for kind in _ALIASES if isinstance(said, dict) and kind in said]
        if len(kinds) != 1 or "is" not in said:
            raise SourceError(
                f'{where}give one of {", ".join(_ALIASES)}, and is, like {{person: p12, is: "ffpp:043"}}.'
            )
        check_known(said, (*_ALIASES, "is", "why"), f"{where}key")
        kind = kinds[0]
        one, other = (_text(said, key, where) for key in (kind, "is"))
        if kind != "footage":
            space = raw.get("namespace", raw["dataset"])
            one, other = (name if ":" in name else f"{space}:{name}" for name in (one, other))
        if one == other:
            raise SourceError(f"{where}{one} is itself: name two ids.")
        aliases.append(Alias(kind, one, other, f"{file}: {_text(said, 'why', where)}" if "why" in said else file))
    return tuple(aliases)


def _manifest(raw: Any) -> ManifestKeys:
    if not isinstance(raw, dict):
        raise SourceError("manifest: give file, path (the column that holds each file's path) and columns.")
    check_known(raw, _MANIFEST_KEYS, "manifest: key")
    missing = [key for key in ("file", "path", "columns") if key not in raw]
    if missing:
        raise SourceError(f"manifest: {few(missing)} must be given.")
    delimiter = raw.get("delimiter", ",")
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise SourceError(f'manifest: delimiter: {delimiter!r} is not one character (a tab is "\\t").')
    columns = raw["columns"]
    if not isinstance(columns, dict) or not columns:
        raise SourceError('manifest: columns: give "field: column" lines, like "label: is_fake".')
    check_known(columns, FIELDS, "manifest: columns: field")
    return ManifestKeys(
        file=_text(raw, "file", "manifest: "),
        path=_text(raw, "path", "manifest: "),
        columns={field: _text(columns, field, "manifest: columns: ") for field in columns},
        delimiter=delimiter,
    )

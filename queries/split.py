"""A split file: one SELECT, under a head of comments that says what it is and which parameters it takes.

    -- The first line is its title
    -- paper: ..., table: ..., reports: ...      where it comes from
    -- param frames: 16  (frames per video)      a parameter, $frames in the SQL; without a default it must be given
    -- uses: f2f_train = ../ffpp/f2f_train.sql   another split's faces, as a table of that name
    -- anything else is prose

Parameters have one value each over a file and the files it uses: the given one, else the outer file's default, else the
inner one's. ``recipe`` is a parameter of every split: it keeps `faces` to one recipe.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from queries.catalog import script
from queries.errors import SplitError
from queries.sandbox import Query

RECIPE = "recipe"

_PARAM = re.compile(r"param\s+(?P<name>\w+)\s*:\s*(?P<default>'(?:[^']|'')*'|[^()]*?)\s*(?:\((?P<what>.*)\))?")
_USES = re.compile(r"uses\s*:\s*(?P<alias>\w+)\s*=\s*(?P<file>\S+)")
_ORIGIN = re.compile(r"(?P<key>paper|table|reports)\s*:\s*(?P<text>.+)", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Param:
    """A parameter: its default (None where it must be given: see ``required``) and what the head says of it."""

    name: str
    default: Any
    what: str
    required: bool


@dataclass(frozen=True)
class SplitFile:
    """A split as it lies on disk. ``origin``: paper, table, reports; ``uses``: alias -> the split behind it."""

    path: Path
    sql: str
    title: str
    about: str
    origin: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Param] = field(default_factory=dict)
    uses: Mapping[str, "SplitFile"] = field(default_factory=dict)

    def recipe(self, given: Mapping[str, Any]) -> str | None:
        """The recipe that is asked for: name or beginning of its hash; None where none is."""
        own = self.all_params().get(RECIPE)
        return given.get(RECIPE) or (own.default if own else None) or None

    def all_params(self) -> dict[str, Param]:
        """Own parameters and those of the used splits; the outer file's stands where both have one."""
        inner = {name: param for used in self.uses.values() for name, param in used.all_params().items()}
        return inner | dict(self.params)

    def query(self, given: Mapping[str, Any]) -> Query:
        """What the sandbox runs, with every parameter's value. Raises SplitError: unknown, missing, of another type."""
        known = self.all_params()
        for name in given:
            if name not in known and name != RECIPE:
                near = difflib.get_close_matches(name, [*known, RECIPE], n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                takes = ", ".join([*known, RECIPE])
                raise SplitError(f"{self.path}: there is no parameter {name!r}: {hint}It takes {takes}")
        values = {name: _convert(known[name], value, self.path) for name, value in given.items() if name in known}
        return self._query(values)

    def _query(self, values: Mapping[str, Any]) -> Query:
        own = {name: param.default for name, param in self.params.items() if not param.required} | dict(values)
        for name in self.params.keys() - own.keys():
            raise SplitError(f"{self.path}: the parameter {name} must be given: --param {name}=...")
        inner = {alias: used._query(own) for alias, used in self.uses.items()}
        mine = {name: own[name] for name in self.params}
        return Query(str(self.path), self.sql, mine, inner)


def read_split(path: str | Path) -> SplitFile:
    """Read a split file and those it uses; one that is not there may be a shipped one, ``ffpp/f2f_train``.

    Raises SplitError, with the line, for a head that cannot be understood.
    """
    return _read(_found(Path(path)), ())


def _found(path: Path) -> Path:
    """The file itself, or the shipped one of that name, with or without ``queries/`` in front and ``.sql`` behind."""
    parts = path.parts[1:] if path.parts[:1] == ("queries",) else path.parts
    shipped = Path(__file__).parent.joinpath(*parts).with_suffix(".sql")
    return shipped if not path.exists() and not path.is_absolute() and shipped.is_file() else path


def _read(path: Path, users: tuple[Path, ...]) -> SplitFile:
    real = path.resolve()
    if real in users:
        chain = " uses ".join(file.name for file in (*users[users.index(real) :], real))
        raise SplitError(f"{path} uses itself: {chain}")
    try:
        sql = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SplitError(f"{path} cannot be read: {error}") from error
    title, about, origin, params, uses = "", [], {}, {}, {}
    for number, line in enumerate(_head(sql), 1):
        where = f"{path}:{number}"
        if found := _PARAM.fullmatch(line):
            params[found["name"]] = _param(found, where, params)
        elif found := _USES.fullmatch(line):
            alias = _alias(found["alias"], where, uses)
            uses[alias] = _read(_used_file(path, found["file"], where), (*users, real))
        elif re.match(r"(param|uses)\b.*[:=]", line):
            wanted = "param NAME: DEFAULT  (what it is)" if line.startswith("param") else "uses: ALIAS = FILE.sql"
            raise SplitError(f"{where}: `-- {line}` is not understood: write `-- {wanted}`")
        elif found := _ORIGIN.fullmatch(line):
            origin[found["key"].lower()] = found["text"].strip()
        elif not title:
            title = line
        else:
            about.append(line)
    file = SplitFile(path, sql, title, "\n".join(about).strip(), origin, params, uses)
    _check_used(file)
    return file


def _head(sql: str) -> list[str]:
    """The comment lines in front of the statement, without their dashes; blank lines stay, for the count."""
    lines = []
    for line in sql.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("--"):
            break
        lines.append(stripped.removeprefix("--").strip())
    return lines


def _param(found: re.Match, where: str, known: Mapping[str, Param]) -> Param:
    name, text = found["name"], found["default"].strip()
    if name in known:
        raise SplitError(f"{where}: the parameter {name} is declared twice")
    default = None if not text else parse_value(text)
    return Param(name, default, (found["what"] or "").strip(), not text)


def parse_value(text: str) -> Any:
    """A parameter's value as it is written: null, true, false, a number, or text, with or without single quotes."""
    if text.lower() in ("null", "true", "false"):
        return {"null": None, "true": True, "false": False}[text.lower()]
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _convert(param: Param, value: Any, path: Path) -> Any:
    """``value`` as the type of the parameter's default; from the command line all values are text."""
    kind = type(param.default)
    if param.default is None:
        return parse_value(value) if isinstance(value, str) else value
    if kind is str:
        return value if value is None else str(value)
    read = parse_value(value) if isinstance(value, str) else value
    if kind is float and type(read) is int:
        read = float(read)
    if type(read) is not kind and read is not None:
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise SplitError(f"{path}: {param.name} must be {wanted} ({param.what or 'see the head'}), not {value!r}")
    return read


def _alias(alias: str, where: str, known: Mapping[str, Any]) -> str:
    if not _NAME.fullmatch(alias) or alias in _taken():
        raise SplitError(
            f"{where}: {alias!r} cannot be an alias: small letters, digits and _, no word of SQL, no table's name"
        )
    if alias in known:
        raise SplitError(f"{where}: the alias {alias} is declared twice")
    return alias


@cache
def _taken() -> frozenset[str]:
    """Names that mean something already: tables, views, reserved words."""
    names = re.findall(r"CREATE (?:OR REPLACE )?(?:TABLE|VIEW) (\w+)", script("schema") + script("views"))
    with duckdb.connect() as db:
        words = db.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
        ).fetchall()
    return frozenset(name.lower() for name in [*names, *(word for (word,) in words)])


def _used_file(path: Path, file: str, where: str) -> Path:
    if Path(file).is_absolute() or not file.endswith(".sql"):
        raise SplitError(f"{where}: {file!r} must be a .sql file, relative to this one")
    used = path.parent / file
    if not used.is_file():
        raise SplitError(f"{where}: there is no file {used}")
    return used


def _check_used(file: SplitFile) -> None:
    text = _texts(file)
    for name in file.params:
        if not re.search(rf"\${name}\b", text):
            raise SplitError(f"{file.path}: the parameter {name} is declared, but ${name} occurs nowhere: remove it")


def _texts(file: SplitFile) -> str:
    body = "\n".join(line for line in file.sql.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join([body, *(_texts(used) for used in file.uses.values())])

"""Filters and the SQL that they stand for: what a page shows is always the answer of a query that people can read.

The SQL is shown, can be changed, and becomes a split as it is. So faces of a pinned split are those of its query, with
its parameters filled in, and not of its file, which no query can read.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from browse.place import BrowseError, Place

ORDERS = {
    "shuffled": "draw_key",
    "video and time": "video_id, frame_index, track",
    "least sharp": "sharpness, sample_id",
    "sharpest": "sharpness DESC, sample_id",
    "smallest face": "face_px, sample_id",
    "largest face": "face_px DESC, sample_id",
    "most turned": "abs(yaw) DESC, sample_id",
    "least sure detector": "det_score, sample_id",
    "lowest score": "score, sample_id",
    "highest score": "score DESC, sample_id",
}
_SCORED = ("lowest score", "highest score")
_COLUMNS = ("dataset", "method", "quality", "official_split")
_SHOWN = 200  # values of a column to choose from, at most


@dataclass(frozen=True)
class Filters:
    """What is chosen; empty means everything. ``identity`` is a target, source or visible id; scores are of ``run``."""

    dataset: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    quality: tuple[str, ...] = ()
    official_split: tuple[str, ...] = ()
    label: int | None = None
    identity: str = ""
    split: str = ""
    run: str = ""
    least: float | None = None
    most: float | None = None
    order: str = "shuffled"

    @classmethod
    def read(cls, words: Sequence[tuple[str, str]]) -> "Filters":
        """From the fields of a form, in any order. Raises BrowseError."""
        given: dict[str, Any] = {}
        for name, value in words:
            value = value.strip()
            if not value:
                continue
            if name in _COLUMNS:
                given[name] = (*given.get(name, ()), value)
            elif name == "label":
                if value not in ("0", "1"):
                    raise BrowseError(f"a label is 0 (real) or 1 (fake), not {value!r}")
                given[name] = int(value)
            elif name in ("least", "most"):
                given[name] = _score(value)
            elif name in ("identity", "split", "run", "order"):
                given[name] = value
        found = cls(**given)
        if found.order not in ORDERS:
            raise BrowseError(f"there is no order {found.order!r}: {', '.join(ORDERS)}")
        if not found.run and (found.order in _SCORED or found.least is not None or found.most is not None):
            raise BrowseError("scores are those of a run: choose one")
        return found

    def words(self) -> str:
        """What is chosen, in one line."""
        said = [
            f"{name.replace('_', ' ')} {' or '.join(getattr(self, name))}" for name in _COLUMNS if getattr(self, name)
        ]
        said += [("real", "fake")[self.label]] if self.label is not None else []
        said += [f"{name} {getattr(self, name)}" for name in ("identity", "split", "run") if getattr(self, name)]
        if self.least is not None or self.most is not None:
            said.append(
                f"score {0 if self.least is None else self.least:g} to {1 if self.most is None else self.most:g}"
            )
        return ", ".join(said) or "all faces"

    def sql(
        self, card: Mapping[str, Any] | None = None, columns: str = "", ordered: bool = True, below: int | None = None
    ) -> str:
        """The query. ``card``: that of the pinned split, where one is chosen; ``columns``: others than sample_id;
        ``below``: only of faces with a smaller draw_key."""
        text = f"SELECT {columns or ('sample_id, score' if self.run else 'sample_id')}\nFROM faces"
        if self.run:
            text += (
                "\nJOIN (\n    SELECT sample_id, avg(score) AS score FROM predictions\n"
                f"    WHERE run_id = {literal(self.run)} AND sample_id IS NOT NULL GROUP BY sample_id\n"
                ") USING (sample_id)"
            )
        conditions = [*([] if below is None else [f"draw_key < {below:d}"]), *self._conditions(card)]
        if conditions:
            text += "\nWHERE " + "\n  AND ".join(conditions)
        return f"{text}\nORDER BY {ORDERS[self.order]}" if ordered else text

    def _conditions(self, card: Mapping[str, Any] | None) -> list[str]:
        said = [_one_of(name, getattr(self, name)) for name in _COLUMNS if getattr(self, name)]
        if self.label is not None:
            said.append(f"label = {self.label}")
        if self.identity:
            said.append(f"{literal(self.identity)} IN (target_id, source_id, visible_id)")
        if self.least is not None or self.most is not None:
            low, high = 0 if self.least is None else self.least, 1 if self.most is None else self.most
            said.append(f"score BETWEEN {low:g} AND {high:g}")
        if self.split:
            if card is None:
                raise BrowseError(f"there is no pinned split {self.split}")
            query = _indented(filled(card["sql"], card["params"], card["uses"]))
            name = _one_line(self.split)
            said.append(f"sample_id IN (SELECT sample_id FROM (  -- the query of {name}\n{query}\n  ))")
        return said


def literal(text: str) -> str:
    """``text`` in SQL. Raises BrowseError for what no name holds."""
    if "\0" in text:
        raise BrowseError("a name cannot hold a zero byte")
    return "'" + text.replace("'", "''") + "'"


def filled(sql: str, params: Mapping[str, Any], uses: Mapping[str, Any]) -> str:
    """A split's query with its parameters' values in their places, and the splits that it uses as WITH queries."""
    body = _fill("\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip(), params)
    body = body.rstrip("; \n")
    if not uses:
        return body
    tables = ",\n".join(
        f"{alias} AS (\n    FROM faces WHERE sample_id IN (SELECT sample_id FROM (\n"
        f"{_indented(filled(used['sql'], {**used['params'], **params}, used['uses']), 8)}\n    ))\n)"
        for alias, used in uses.items()
    )
    if re.match(r"WITH\b(?!\s+RECURSIVE)", body, re.IGNORECASE):
        return f"WITH {tables},{body[4:]}"
    return f"WITH {tables}\n{body}"


def _fill(sql: str, params: Mapping[str, Any]) -> str:
    """Values for $names, as DuckDB's own tokens tell them from texts and comments; their places count bytes."""
    text, out, done = sql.encode(), b"", 0
    tokens = duckdb.tokenize(sql)
    for (place, kind), (after, _) in zip(tokens, tokens[1:], strict=False):
        if kind != duckdb.token_type.operator or text[place:after] != b"$":
            continue
        name = re.match(rb"\w+", text[after:])
        if name and name[0].decode() in params:
            out += text[done:place] + _value(params[name[0].decode()]).encode()
            done = after + name.end()
    return (out + text[done:]).decode()


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "true", False: "false"}[value]
    return literal(value) if isinstance(value, str) else str(value)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    if len(values) == 1:
        return f"{column} = {literal(values[0])}"
    return f"{column} IN ({', '.join(map(literal, values))})"


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BrowseError(f"a score is a number from 0 (real) to 1 (fake), not {text!r}")
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _indented(text: str, by: int = 4) -> str:
    return "\n".join(" " * by + line if line else line for line in text.splitlines())


@dataclass(frozen=True)
class Options:
    """What there is to choose: (value, faces) for columns of videos; names of pinned splits and runs."""

    columns: dict[str, list[tuple[str, int]]]
    splits: list[str]
    runs: list[str]


NOTHING = Options({name: [] for name in _COLUMNS}, [], [])


def options(place: Place) -> Options:
    """What the catalog has, the most frequent first. Raises CatalogError, CatalogBusy."""
    with place.look() as db:
        groups = db.execute(  # once: what a catalog knows of its videos is joined anew each time it is asked
            f"SELECT sum(faces)::BIGINT, {', '.join(_COLUMNS)} FROM current_attempts WHERE faces > 0 GROUP BY ALL"
        ).fetchall()
        splits = db.execute(
            "SELECT name || '@' || hash[:12] FROM splits ORDER BY created_at DESC, name, hash"
        ).fetchall()
        runs = db.execute("SELECT run_id FROM runs ORDER BY created_at DESC, run_id").fetchall()
    columns = {}
    for name, values in zip(_COLUMNS, zip(*(group[1:] for group in groups), strict=True), strict=False):
        counts: Counter[str] = Counter()
        for (count, *_), value in zip(groups, values, strict=True):
            if value is not None:
                counts[value] += count
        columns[name] = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN]
    return Options(NOTHING.columns | columns, [name for (name,) in splits], [name for (name,) in runs])

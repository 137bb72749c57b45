"""Pinning: a split's query is run once; its answer is stored, with where the bytes lie, under its content's hash.

The query, which may be a stranger's, runs in the sandbox; its answer is then checked and joined by the catalog's own
tables. A pinned split never changes: pinned again, the same faces have the same hash and name, and only the places of
bytes are written anew.
"""

import importlib.metadata
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from queries import lints, manifest
from queries.catalog import SCHEMA_VERSION, connect_read
from queries.errors import CatalogBusy, SplitError
from queries.ingest import ingest_file
from queries.lints import Lint
from queries.locate import read_stems
from queries.packs import tars_elsewhere
from queries.pick import describe, pick
from queries.sandbox import Limits, Query, run_split
from queries.split import RECIPE, SplitFile, read_split

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


@dataclass(frozen=True)
class Pinned:
    """A pinned split. ``rows``: faces, of which ``real`` and ``fake``; ``faceless``: videos without a face."""

    path: Path
    name: str
    hash: str
    rows: int
    real: int
    fake: int
    videos: int
    faceless: int
    recipe: str
    params: dict[str, Any]
    lints: list[Lint] = field(default_factory=list)


def pin(
    catalog: str | Path,
    store: str | Path,
    sql_path: str | Path,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    strict: bool = False,
    limits: Limits | None = None,
) -> Pinned:
    """Run the split file and write ``store/splits/NAME@HASH12.arrow``; ``name`` is the file's own unless given.

    ``params``: the file's parameters, as values or as text; ``recipe`` is always one of them (a name or the beginning
    of a hash). ``strict``: refuse a split with errors or warnings. Raises SplitError for all that is wrong with the
    file, its parameters or its answer, CatalogError, CatalogBusy.
    """
    catalog, store, given = Path(catalog), Path(store), dict(params or {})
    name = _check_name(Path(sql_path).stem if name is None else name)
    file = read_split(sql_path)
    query = file.query(given)
    wanted = file.recipe(given)
    recipe_hash = None if wanted is None else _find_recipe(catalog, wanted, file)
    with ThreadPoolExecutor(1) as beside:
        answering = beside.submit(run_split, catalog, query, recipe_hash, limits)
        with connect_read(catalog) as db:
            stems, counts = read_stems(db), _catalog_counts(db)  # while the query runs
            answer = answering.result()
            if not len(answer):
                raise SplitError(_nothing(db, file, given))
            rows = pick(db, stems, answer, file)
            recipe = _one_recipe(db, file)
            faceless = _rows(db, "SELECT video_id, dataset, method, label FROM picked_faceless ORDER BY video_id")
            hashing = beside.submit(manifest.content_hash, rows, [row["video_id"] for row in faceless])
            db.register("tars", _tars(db, store / "shards"))
            describe(db)
            found = lints.run(db)
            _refuse(found, strict, file)
            digest = hashing.result()
            values = {**given, **_values(query), **({RECIPE: wanted} if wanted else {})}
            card = {
                "manifest_version": manifest.MANIFEST_VERSION,
                "name": name,
                "hash": digest,
                "title": file.title,
                "sql": file.sql,
                "params": values,
                "uses": _uses(query),
                "catalog": {"schema_version": SCHEMA_VERSION, **counts},
                "recipes": [recipe],
                "lints": [lint.as_dict() for lint in found],
                "faceless": faceless,
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "deepshard_version": _version(),
            }
            path = store / "splits" / f"{name}@{digest[:12]}.arrow"
            writing = beside.submit(manifest.write, path, rows, card)  # while the catalog is closed
        writing.result()
    fake = pc.sum(rows["label"]).as_py()
    try:
        ingest_file(catalog, store, path)
    except CatalogBusy as error:
        raise CatalogBusy(
            f"{path} is written, but the catalog does not list it yet, the next ingest will: {error}"
        ) from error
    return Pinned(
        path=path,
        name=name,
        hash=digest,
        rows=len(rows),
        real=len(rows) - fake,
        fake=fake,
        videos=len(rows["video_id"].unique()),
        faceless=len(faceless),
        recipe=recipe["name"],
        params=values,
        lints=found,
    )


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SplitError(f"{name!r} cannot name a split: use letters, digits and _ . + - (it becomes a file name)")
    return name


def _find_recipe(catalog: Path, wanted: str, file: SplitFile) -> str:
    """The hash of the recipe of that name, or whose hash begins so."""
    with connect_read(catalog) as db:
        known = db.execute("SELECT name, recipe_hash FROM recipes ORDER BY ALL").fetchall()
    fitting = [digest for name, digest in known if name == wanted]
    fitting = fitting or [digest for _, digest in known if len(wanted) >= 4 and digest.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{name} ({digest[:8]})" for name, digest in known) or "none"
    if fitting:
        raise SplitError(f"{file.path}: several recipes are called {wanted!r}, give the hash instead: {listed}")
    raise SplitError(f"{file.path}: there is no recipe {wanted!r}; the catalog has {listed}")


def _one_recipe(db: duckdb.DuckDBPyConnection, file: SplitFile) -> dict[str, Any]:
    """The recipe of all that was picked, partners too. Raises SplitError for several."""
    used = db.execute(
        """
        SELECT recipe, recipe_hash, count(*) FROM (
            SELECT recipe, recipe_hash FROM picked_rows JOIN picked_attempts USING (attempt)
            UNION ALL SELECT recipe, recipe_hash FROM picked_faceless
            UNION ALL SELECT recipe, recipe_hash FROM picked_rows p
                      JOIN picked_attempts v ON v.attempt = p.partner_attempt
        ) GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    if len(used) > 1:
        names = [name for name, _, _ in used]
        listed = ", ".join(f"{name} ({digest[:8]}: {count:,})" for name, digest, count in used)
        choice = names[0] if len(set(names)) == len(names) else used[0][1][:8]
        raise SplitError(
            f"{file.path} mixes recipes, {listed}: faces of several recipes are not comparable. "
            f"Choose one, such as --param recipe={choice}"
        )
    name, digest, _ = used[0]
    known = db.execute("SELECT recipe FROM recipes WHERE recipe_hash = ?", [digest]).fetchall()
    return {"name": name, "hash": digest, "recipe": json.loads(known[0][0]) if known else None}


def _tars(db: duckdb.DuckDBPyConnection, folder: Path) -> pa.Table:
    """What the disk says of every shard that is needed: there | missing | short."""
    needed = db.execute(
        """
        SELECT shard, tar_end FROM shards
        WHERE shard IN (SELECT shard FROM picked_attempts) ORDER BY ALL
        """
    ).fetchall()
    states, elsewhere = [], tars_elsewhere(folder)
    for shard, end in needed:
        try:
            size = elsewhere[shard] if shard in elsewhere else os.stat(folder / f"{shard}.tar").st_size
            states.append("there" if size >= end else "short")
        except FileNotFoundError:
            states.append("missing")
    return pa.table({"shard": pa.array([s for s, _ in needed], pa.string()), "state": pa.array(states, pa.string())})


def _refuse(found: list[Lint], strict: bool, file: SplitFile) -> None:
    grave = [lint for lint in found if lint.severity != "note"]
    if strict and grave:
        listed = "; ".join(f"{lint.severity} {lint.rule}: {lint.message}" for lint in grave)
        raise SplitError(f"{file.path} is not pinned, strict finds {len(grave)}: {listed}")


def _nothing(db: duckdb.DuckDBPyConnection, file: SplitFile, given: Mapping[str, Any]) -> str:
    """Why a query may have come back empty: what there is, and what was asked."""
    counts = {
        name: db.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in ("videos", "faces", "faceless")
    }
    groups = db.execute(
        "SELECT dataset || '/' || method || '/' || quality, count(*) FROM faces GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    values = {**_values(file.query(given)), **given}
    asked = ", ".join(f"{key}={value}" for key, value in values.items()) or "none"
    held = ", ".join(f"{group} {count:,}" for group, count in groups[:12]) or "no face at all: run `deepshard curate`"
    more = f" and {len(groups) - 12} more" if len(groups) > 12 else ""
    rows = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{file.path} selects nothing (parameters: {asked}). Rows in the catalog: {rows}. Faces of {held}{more}"


def _values(query: Query) -> dict[str, Any]:
    """The parameters of a query and, where the outer one has no such parameter, of those it uses."""
    inner = {name: value for used in query.uses.values() for name, value in _values(used).items()}
    return inner | dict(query.params)


def _uses(query: Query) -> dict[str, Any]:
    return {
        alias: {"file": used.file, "sql": used.sql, "params": dict(used.params), "uses": _uses(used)}
        for alias, used in query.uses.items()
    }


def _catalog_counts(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    tables = ("sources", "videos", "attempts", "samples", "shards", "corrections")
    return {name: db.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in tables}


def _rows(db: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    return db.sql(query).to_arrow_table().to_pylist()


def _version() -> str:
    try:
        return importlib.metadata.version("deepshard")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "not installed"

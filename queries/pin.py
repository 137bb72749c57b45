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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from queries import lints, manifest
from queries.catalog import SCHEMA_VERSION, connect_read
from queries.errors import CatalogBusy, SplitError
from queries.ingest import ingest_file
from queries.lints import Lint
from queries.sandbox import Limits, Query, run_split
from queries.split import RECIPE, SplitFile, read_split

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_PLACE = ("shard", "image_ext", "image_offset", "image_size", "image_xxh3")


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
    answer = run_split(catalog, query, recipe_hash, limits)
    with connect_read(catalog) as db:
        _pick(db, answer, file, given)
        recipe = _one_recipe(db, file)
        rows = _manifest(db)
        faceless = _rows(db, "SELECT video_id, dataset, method, label FROM picked_faceless ORDER BY video_id")
        db.register("tars", _tars(db, store / "shards"))
        found = lints.run(db)
        counts = _catalog_counts(db)
    _refuse(found, strict, file)
    digest = manifest.content_hash(rows, (row["video_id"] for row in faceless))
    labels = rows["label"].to_pylist()
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
    manifest.write(path, rows, card)
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
        rows=len(labels),
        real=labels.count(0),
        fake=labels.count(1),
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


def _pick(db: duckdb.DuckDBPyConnection, answer: pa.Table, file: SplitFile, given: Mapping[str, Any]) -> None:
    """The answer, checked, as temporary tables ``picked`` and ``picked_faceless``. Raises SplitError."""
    if not len(answer):
        raise SplitError(_nothing(db, file, given))
    db.register("answer", answer)
    has = set(answer.column_names)
    db.execute(
        f"""
        CREATE TEMP TABLE asked AS SELECT
            sample_id,
            {"video_id" if "video_id" in has else "NULL::VARCHAR"} AS video_id,
            {"partner_id" if "partner_id" in has else "NULL::VARCHAR"} AS partner_id,
            {"role::VARCHAR" if "role" in has else "NULL::VARCHAR"} AS role,
            {"weight::REAL" if "weight" in has else "1::REAL"} AS weight,
            {"label" if "label" in has else "NULL::TINYINT"} AS label
        FROM answer
        """
    )
    db.unregister("answer")
    refuse = _Refusal(db, file)
    refuse(
        "SELECT sample_id FROM asked WHERE sample_id IS NOT NULL GROUP BY ALL HAVING count(*) > 1",
        "returns {n} faces more than once: a join multiplies rows, or DISTINCT is missing",
    )
    _join(db)
    refuse(
        "SELECT sample_id FROM asked ANTI JOIN picked USING (sample_id) WHERE sample_id IS NOT NULL",
        "returns {n} sample_ids that are not in faces: select them from there",
    )
    refuse(
        "SELECT coalesce(video_id, '(no video_id)') FROM asked "
        "WHERE sample_id IS NULL AND (video_id IS NULL OR video_id NOT IN (SELECT video_id FROM picked_faceless))",
        "returns {n} rows without a sample_id that are no videos of the view faceless: select them from faces_or_none, "
        "with sample_id and video_id",
    )
    refuse(
        "SELECT partner_id FROM picked WHERE partner_id IS NOT NULL AND partner_shard IS NULL",
        "returns {n} partner_ids that are not in faces: see the macro with_partner",
    )
    refuse(
        "SELECT DISTINCT role FROM asked WHERE role NOT IN ('source', 'target')",
        "returns a role that is neither 'source' nor 'target' nor null",
    )
    refuse(
        "SELECT sample_id || ': ' || coalesce(weight::VARCHAR, 'null') FROM asked "
        "WHERE weight IS NULL OR NOT isfinite(weight) OR weight < 0",
        "returns {n} weights that are no numbers from 0 up",
    )
    refuse(
        "SELECT sample_id FROM asked JOIN picked USING (sample_id) WHERE asked.label <> picked.label",
        "returns for {n} faces another label than the catalog's: labels are mended with corrections, or left out here",
    )
    if not db.execute("SELECT count(*) FROM picked").fetchall()[0][0]:
        raise SplitError(f"{file.path} selects videos without a face and no face at all")


def _join(db: duckdb.DuckDBPyConnection) -> None:
    """``asked`` with all that the catalog knows of each face and where its bytes lie."""
    members = ", ".join(f"s.{column}" for column in _member_columns())
    db.execute(
        f"""
        CREATE TEMP TABLE picked AS
        SELECT faces.*, role, weight, partner_id, partner.shard AS partner_shard, partner.recipe AS partner_recipe,
               partner.recipe_hash AS partner_recipe_hash, {members}
        FROM asked
        JOIN faces USING (sample_id)
        JOIN samples s ON s.sample_id = faces.sample_id AND s.shard = faces.shard
        LEFT JOIN faces partner ON partner.sample_id = partner_id
        """
    )
    db.execute(
        "CREATE TEMP TABLE picked_faceless AS FROM faceless "
        "WHERE video_id IN (SELECT video_id FROM asked WHERE sample_id IS NULL)"
    )


class _Refusal:
    """Raises SplitError if a query over the answer has rows; the message gets their number and three of them."""

    def __init__(self, db: duckdb.DuckDBPyConnection, file: SplitFile):
        self.db, self.file = db, file

    def __call__(self, query: str, message: str) -> None:
        rows = self.db.execute(f"SELECT count(*), list(x ORDER BY x)[:3] FROM ({query}) AS _(x)").fetchall()
        count, examples = rows[0]
        if count:
            shown = f" (such as {', '.join(map(str, examples))})"
            raise SplitError(f"{self.file.path} {message.format(n=f'{count:,}')}{shown}")


def _one_recipe(db: duckdb.DuckDBPyConnection, file: SplitFile) -> dict[str, Any]:
    """The recipe of all that was picked, partners too. Raises SplitError for several."""
    used = db.execute(
        """
        SELECT recipe, recipe_hash, sum(n)::BIGINT FROM (
            SELECT recipe, recipe_hash, count(*) AS n FROM picked GROUP BY ALL
            UNION ALL SELECT recipe, recipe_hash, count(*) FROM picked_faceless GROUP BY ALL
            UNION ALL SELECT partner_recipe, partner_recipe_hash, count(*) FROM picked
                      WHERE partner_id IS NOT NULL GROUP BY ALL
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


def _manifest(db: duckdb.DuckDBPyConnection) -> pa.Table:
    """``picked`` as the manifest has it, sorted by sample_id."""
    own = ["sample_id", "video_id", "dataset", "method", "label", "weight", "role", "frame_index", "shard", "image_ext"]
    partner = [f"o.{column} AS partner_{column}" for column in _PLACE]
    columns = [*(f"p.{column}" for column in (*own, *_member_columns(), "partner_id")), *partner]
    rows = db.sql(
        f"""
        SELECT {", ".join(columns)}
        FROM picked p LEFT JOIN samples o ON o.sample_id = p.partner_id AND o.shard = p.partner_shard
        ORDER BY p.sample_id
        """
    )
    return manifest.conform(rows.to_arrow_table())


def _member_columns() -> list[str]:
    return [
        name
        for name in manifest.MANIFEST.names
        if name.endswith(("_offset", "_size", "_xxh3")) and "partner" not in name
    ]


def _tars(db: duckdb.DuckDBPyConnection, folder: Path) -> pa.Table:
    """What the disk says of every shard that is needed: there | missing | short."""
    needed = db.execute(
        """
        SELECT shard, tar_end FROM shards
        WHERE shard IN (SELECT shard FROM picked UNION SELECT partner_shard FROM picked) ORDER BY ALL
        """
    ).fetchall()
    states = []
    for shard, end in needed:
        try:
            states.append("there" if os.stat(folder / f"{shard}.tar").st_size >= end else "short")
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

"""The smaller files of a store, read and checked: scans, recipes, pinned splits, runs, predictions, corrections.

Each reader gives rows for one table, or raises FileProblem: such a file stays out of the catalog, is reported, and is
tried again by every ingest. What a reader leaves out of a file that it accepts it says in ``problems``.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from queries.catalog import columns
from queries.manifest import read as read_manifest
from queries.manifest import read_card

CORRECTABLE = ("label", "category", "target_id", "source_id", "visible_id", "original_video", "official_split")
_ALIAS = ("kind", "one", "other", "said_by")
_METADATA_KEY = b"deepshard"


class FileProblem(Exception):
    """What is wrong with a file of the store."""


@dataclass(frozen=True)
class Rows:
    """Rows for the catalog: table -> rows, as an Arrow table or as dicts with the table's columns."""

    tables: dict[str, pa.Table | list[dict[str, Any]]]
    problems: list[str] = field(default_factory=list)


def read_source(path: Path) -> Rows:
    """``sources/NAME.parquet``: what a scan found."""
    table = _parquet(path, columns("scanned"))
    card = _metadata(path)
    if card.get("source") != path.stem:
        raise FileProblem(f"it holds the scan of source {card.get('source')!r}: a scan is named after its source")
    try:
        source = {
            "source": card["source"],
            "adapter": card["adapter"],
            "datasets": card["datasets"],
            "root": card["root"],
            "config": json.dumps(card["config"]),
            "licence": card["licence"],
            "redistributable": card["redistributable"],
            "scanned_at": _time(card["scanned_at"]),
            "videos": len(table),
            "notes": card.get("notes", []),
            "warnings": card.get("warnings", []),
        }
        folders = [_folder(card["source"], row) for row in card["completeness"]]
        names = [
            {**_place(card["source"], row), "name": name, "state": state}
            for row in card["completeness"]
            for state in ("missing", "unexpected")
            for name in row[state]
        ]
        aliases = [{key: alias[key] for key in _ALIAS} for alias in card.get("aliases", [])]
    except (KeyError, TypeError, ValueError) as error:
        raise FileProblem(
            f"its metadata is not that of a scan ({type(error).__name__}: {error}): scan again"
        ) from error
    tables = {"sources": [source], "expectations": folders, "completeness": names, "aliases": aliases}
    return Rows({**tables, "scanned": table})


@dataclass(frozen=True)
class Licence:
    """What a scan told of a dataset; ``redistributable``: its owners let anybody pass it on."""

    dataset: str
    licence: str
    redistributable: bool


def licences(store: str | Path) -> list[Licence]:
    """What the scans in a store tell of their datasets, by name; of several copies the strictest word counts.

    A scan that cannot be read tells nothing: a dataset that is not listed must be taken for private.
    """
    found: dict[str, Licence] = {}
    for path in sorted(Path(store, "sources").glob("*.parquet")):
        try:
            (source,) = read_source(path).tables["sources"]
        except FileProblem:
            continue
        for dataset in source["datasets"]:
            before = found.get(dataset)
            if before is None or before.redistributable:
                found[dataset] = Licence(dataset, source["licence"] or "unknown", bool(source["redistributable"]))
    return [found[dataset] for dataset in sorted(found)]


def read_recipe(path: Path) -> Rows:
    """``recipes/HASH16.json``."""
    record = _json(path)
    try:
        row = {"recipe_hash": record["hash"], "name": record["name"], "recipe": json.dumps(record["recipe"])}
    except (KeyError, TypeError) as error:
        raise FileProblem(f"it is not a recipe: {error} is missing") from error
    if not row["recipe_hash"].startswith(path.stem):
        raise FileProblem(f"it holds recipe {row['recipe_hash'][:16]}, not what its name says")
    return Rows({"recipes": [row]})


def read_split(path: Path) -> Rows:
    """``splits/NAME@HASH12.arrow``: a pinned split's metadata and counts, not its rows."""
    try:
        card, counts = read_card(path)
        parts = _parts(path)
    except (OSError, ValueError, KeyError) as error:
        raise FileProblem(f"it cannot be read: {error}") from error
    severities = [lint["severity"] for lint in card["lints"]]
    row = {
        "name": card["name"],
        "hash": card["hash"],
        "path": f"splits/{path.name}",
        "title": card.get("title"),
        "faces": counts["faces"],
        "real": counts["real"],
        "fake": counts["fake"],
        "faceless": len(card["faceless"]),
        "errors": severities.count("error"),
        "warnings": severities.count("warning"),
        "notes": severities.count("note"),
        "created_at": _time(card["created_at"]),
        "card": json.dumps(card),
    }
    return Rows({"splits": [row], "split_parts": [{"hash": card["hash"], **part} for part in parts]})


def _parts(path: Path) -> list[dict[str, Any]]:
    """How many faces of each dataset, method, label and role a manifest has."""
    words = ["dataset", "method", "label", "role"]
    rows = read_manifest(path)[0].select(words).group_by(words).aggregate([([], "count_all")])
    return rows.rename_columns([*words, "faces"]).to_pylist()


def read_run(path: Path) -> Rows:
    """``runs/RUN_ID/run.json``."""
    record = _json(path)
    if not isinstance(record, dict) or record.get("run_id") != path.parent.name:
        raise FileProblem(f"it is not the record of run {path.parent.name}")
    row = {
        "run_id": record["run_id"],
        "status": record.get("status"),
        "detector": record.get("detector"),
        "created_at": _time(record.get("created_at")),
        "finished_at": _time(record.get("finished_at")),
        "record": json.dumps(record),
    }
    return Rows({"runs": [row]})


def read_predictions(path: Path) -> Rows:
    """``runs/RUN_ID/predictions/*.parquet``."""
    return Rows({"predictions": _parquet(path, [name for name in columns("predictions") if name != "file"])})


def read_corrections(path: Path) -> Rows:
    """``corrections/*.parquet``: (video_id, column, value, who, at, why). Rows that cannot be applied are left out."""
    table = _parquet(path, [name for name in columns("corrections") if name != "file"])
    kept, problems = [], []
    for number, row in enumerate(table.to_pylist(), 1):
        if row["column"] not in CORRECTABLE:
            wrong = f"column {row['column']!r} cannot be corrected; these can: {', '.join(CORRECTABLE)}"
        elif row["column"] == "label" and row["value"] not in ("0", "1"):
            wrong = f"a label is 0 or 1, not {row['value']!r}"
        elif row["column"] == "category" and row["value"] is None:
            wrong = "a category cannot be null"
        else:
            kept.append(row)
            continue
        problems.append(f"row {number} ({row['video_id']}) is left out: {wrong}")
    return Rows({"corrections": kept}, problems)


def read_seen(path: Path) -> Rows:
    """``seen/*.parquet``: (video_id, content, bytes, mtime_ns, seen_at) of files that were looked at again."""
    return Rows({"seen": _parquet(path, [name for name in columns("seen") if name != "file"])})


def read_features(path: Path) -> Rows:
    """``features/NAME-phash-vN.parquet``: (sample_id, kind, version, value) of the faces of shard NAME."""
    return Rows({"features": _parquet(path, [name for name in columns("features") if name != "file"])})


def read_embeddings(path: Path) -> Rows:
    """``features/NAME-embedding-vN.parquet``: (sample_id, kind, version, value), the value as 128 numbers."""
    table = _parquet(path, ["sample_id", "version", "value"])
    return Rows({"embeddings": table.rename_columns(["sample_id", "version", "embedding"])})


def read_persons(path: Path) -> Rows:
    """``persons/tracks.parquet``: what ``deepshard persons`` found last."""
    return Rows({"persons": _parquet(path, [name for name in columns("persons") if name != "file"])})


def read_duplicates(path: Path) -> Rows:
    """``duplicates/groups.parquet`` or ``matches.parquet``: what ``deepshard duplicates`` found last."""
    table = f"duplicate_{path.stem}"
    return Rows({table: _parquet(path, [name for name in columns(table) if name != "file"])})


READERS: dict[str, tuple[str, Callable[[Path], Rows]]] = {
    # kind -> (where such files lie in a store, how they are read)
    "source": ("sources/*.parquet", read_source),
    "recipe": ("recipes/*.json", read_recipe),
    "split": ("splits/*.arrow", read_split),
    "run": ("runs/*/run.json", read_run),
    "predictions": ("runs/*/predictions/*.parquet", read_predictions),
    "seen": ("seen/*.parquet", read_seen),
    "features": ("features/*-phash*-v*.parquet", read_features),
    "embeddings": ("features/*-embedding-v*.parquet", read_embeddings),
    "persons": ("persons/tracks.parquet", read_persons),
    "duplicate_groups": ("duplicates/groups.parquet", read_duplicates),
    "duplicate_matches": ("duplicates/matches.parquet", read_duplicates),
    "correction": ("corrections/*.parquet", read_corrections),
}


def _folder(source: str, row: dict[str, Any]) -> dict[str, Any]:
    """Expected against found; the two differences that no name stands for are arithmetic on the counts."""
    expected, found, missing = row["expected"], row["found"], len(row["missing"])
    return {
        **_place(source, row),
        "expected": expected,
        "found": found,
        "missing": missing,
        "unexpected": len(row["unexpected"]),
        "unnamed": max(0, (expected or 0) - found - missing),
        "surplus": 0 if expected is None else max(0, found + missing - expected),
    }


def _place(source: str, row: dict[str, Any]) -> dict[str, Any]:
    place = {name: row[name] for name in ("dataset", "method", "quality")}
    return {"source": source, **place, "part": row.get("part")}


def _parquet(path: Path, wanted: tuple[str, ...] | list[str]) -> pa.Table:
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise FileProblem(f"it cannot be read: {str(error).strip().splitlines()[0]}") from error
    if missing := [name for name in wanted if name not in table.column_names]:
        raise FileProblem(f"it has no column {', '.join(missing)}")
    return table.select(list(wanted)).replace_schema_metadata(None)


def _metadata(path: Path) -> dict[str, Any]:
    metadata = pq.read_schema(path).metadata or {}
    try:
        return json.loads(metadata[_METADATA_KEY])
    except (KeyError, json.JSONDecodeError) as error:
        raise FileProblem("it holds no scan: only files that `deepshard scan` wrote belong into sources/") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FileProblem(f"it cannot be read: {error}") from error


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

"""What will lie in a repository, all but the tars, written down here before anything is sent.

It is a store like any other, whose tars lie elsewhere; the catalog that travels is asked of a catalog made from it, so
that what strangers query is what a pull or an attach will find.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hub import manifests
from hub.layout import Shard, lay_out
from hub.local import Local
from hub.pseudonyms import Pseudonyms, old_names
from hub.selection import Selection
from queries import manifest
from queries.catalog import connect_read
from queries.ingest import rebuild
from shards import durable, sidecar
from shards.attached import Attached, Place, write_attached
from shards.reader import ShardReader
from shards.repack import Change, changed

CATALOG = {
    "faces": "SELECT f.*, s.path || '.tar' AS file FROM faces f JOIN placed s USING (shard) ORDER BY sample_id",
    "videos": "SELECT * EXCLUDE (tar, attempt) FROM current_attempts ORDER BY video_id",
    "shards": "FROM placed ORDER BY path",
    "sources": "SELECT * EXCLUDE (root, config) FROM sources ORDER BY source",
    "recipes": "FROM recipes ORDER BY name",
    "splits": "SELECT * EXCLUDE (card), card FROM splits ORDER BY name, hash",
    "corrections": "SELECT * EXCLUDE (who, file) FROM corrections ORDER BY ALL",
}
_TOKEN = re.compile(r"[^\s'\"(),;]+")


@dataclass(frozen=True)
class Outgoing:
    """A repository before it is sent. ``store``: the store without tars; ``catalog``: made from it; ``files``: path in
    the repository -> file here, everything but tars and the card; ``shards``: the tars, and what to make them of;
    ``places``: of each shard, by name; ``change``: what becomes of JSON members."""

    store: Path
    catalog: Path
    files: dict[str, Path]
    shards: list[Shard]
    places: dict[str, Place]
    change: Change | None


def prepare(
    selection: Selection, store: Path, folder: Path, repository: str, pseudonyms: Pseudonyms | None = None
) -> Outgoing:
    """Write a selection of ``store`` into the empty ``folder``, as ``repository`` will have it.

    Raises Forbidden if anything of this machine would leave, ReadError for a face that cannot be read.
    """
    local = Local(store, *(source["root"] for source in selection.sources.values()))
    names = old_names(selection.videos) if pseudonyms else []
    old, samples, videos = selection.samples, selection.samples, selection.videos
    videos = local.clean_columns(videos, ["reason", "missing"])
    if pseudonyms:
        samples = pseudonyms.samples(changed(samples, ShardReader(store / "shards"), pseudonyms.face))
        videos = pseudonyms.videos(videos)
    shards = lay_out(samples, videos, old)
    going = folder / "store"
    places = {shard.name: _write_pack(going / "shards", shard) for shard in shards}
    write_attached(going / "shards", Attached(f"hf://datasets/{repository}", repository, places))
    _write_recipe(going, selection.recipe, local)
    for name, source in sorted(selection.sources.items()):
        _write_source(going, name, source, repository, selection, local, pseudonyms)
    _write_corrections(going, selection.corrections, local, pseudonyms)
    new_ids = dict(zip(old["sample_id"].to_pylist(), samples["sample_id"].to_pylist(), strict=True))
    placed = pa.concat_tables(shard.rows for shard in shards if shard.rows is not None)
    for one in selection.splits:
        rows, card = one.rows, _clean_card(one.card, local, set(names) if pseudonyms else set())
        if pseudonyms:
            rows, card = manifests.renamed(rows, card, new_ids, pseudonyms.video)
        manifest.write(going / "splits" / manifests.file_name(card), manifests.placed(rows, placed), card)
    catalog = folder / "catalog.duckdb"
    rebuild(catalog, going)
    _write_catalog(folder / "catalog", catalog, shards, places)
    telling = [name for name in names if len(name) >= 6 and not set(name) <= set("0123456789abcdef")]
    for part in (going, folder / "catalog"):
        local.check(part, telling)
    files = {f"catalog/{file.name}": file for file in sorted((folder / "catalog").iterdir())}
    for kind in ("recipes", "sources", "splits", "corrections"):
        files |= {f"{kind}/{file.name}": file for file in sorted(going.glob(f"{kind}/*"))}
    for shard in shards:
        for end in (".parquet", ".videos.parquet"):
            if (file := going / "shards" / f"{shard.name}{end}").exists():
                files[f"{shard.path}{end}"] = file
    return Outgoing(going, catalog, files, shards, places, pseudonyms.face if pseudonyms else None)


def _write_pack(folder: Path, shard: Shard) -> Place:
    """Sidecar and mark of a shard, the same bytes as beside a pack of the same rows."""
    durable.make_folder(folder)
    rows = None if shard.rows is None else sidecar.sidecar_bytes(shard.rows)
    if rows is not None:
        durable.write_file(folder / f"{shard.name}.parquet", [rows])
    mark = sidecar.mark_bytes(shard.videos, rows)
    durable.write_file(folder / f"{shard.name}.videos.parquet", [mark])
    content = sidecar.sidecar_sum(pq.read_schema(pa.BufferReader(mark)).empty_table())
    return Place(shard.path, content or "", shard.bytes)


def _write_recipe(going: Path, recipe: dict[str, Any], local: Local) -> None:
    if recipe["recipe"] is None:
        return
    durable.make_folder(going / "recipes")
    told = {"hash": recipe["hash"], "name": recipe["name"], "recipe": local.clean_all(json.loads(recipe["recipe"]))}
    durable.write_file(going / "recipes" / f"{recipe['hash'][:16]}.json", [json.dumps(told, indent=2).encode()])


def _write_source(
    going: Path,
    name: str,
    source: dict[str, Any],
    repository: str,
    selection: Selection,
    local: Local,
    pseudonyms: Pseudonyms | None,
) -> None:
    """A scan of the videos that leave: its licence goes where its faces go. What it lacks or noted is its owner's."""
    rows = selection.scanned.filter(pa.compute.equal(selection.scanned["source"], name))
    said = [alias for alias in selection.aliases if alias["file"] == f"sources/{name}.parquet"]
    aliases = [{key: local.clean(alias[key]) for key in ("kind", "one", "other", "said_by")} for alias in said]
    if pseudonyms:
        rows = pseudonyms.videos(rows)
        for alias in aliases:
            alias["said_by"] = "withheld"
            if alias["kind"] != "footage":
                alias["one"], alias["other"] = map(pseudonyms.identity, (alias["one"], alias["other"]))
    told = {"source": name, "adapter": source["adapter"], "datasets": source["datasets"]}
    told |= {"root": f"hf://datasets/{repository}", "config": {}, "licence": local.clean(source["licence"])}
    told |= {"redistributable": source["redistributable"], "scanned_at": source["scanned_at"].isoformat()}
    told |= {"videos": len(rows), "completeness": [], "notes": [], "warnings": [], "aliases": aliases}
    durable.make_folder(going / "sources")
    table = rows.combine_chunks().replace_schema_metadata({b"deepshard": json.dumps(told).encode()})
    durable.write_file(going / "sources" / f"{name}.parquet", [_parquet(table)])


def _write_corrections(going: Path, rows: pa.Table, local: Local, pseudonyms: Pseudonyms | None) -> None:
    """What was corrected; not who did."""
    if not len(rows):
        return
    told = [{**row, "who": None, "why": local.clean(row["why"])} for row in rows.to_pylist()]
    for row in told if pseudonyms else ():
        new: Callable = {"original_video": pseudonyms.video}.get(row["column"], pseudonyms.identity)
        row["video_id"], row["why"] = pseudonyms.video(row["video_id"]), None
        if row["column"].endswith("_id") or row["column"] == "original_video":
            row["value"] = new(row["value"])
    durable.make_folder(going / "corrections")
    table = pa.Table.from_pylist(told, schema=rows.schema)
    durable.write_file(going / "corrections" / "corrections.parquet", [_parquet(table)])


def _clean_card(card: dict[str, Any], local: Local, names: set[str]) -> dict[str, Any]:
    """A pinned split's card without folders of this machine and without names of people and videos."""

    def withhold(match: re.Match) -> str:
        word = match[0]
        return "[withheld]" if word in names or names.intersection(re.split(r"[/:.]", word)) else word

    def clean(told: Any, key: str = "") -> Any:
        if isinstance(told, str):
            told = Path(told).name if key == "file" else local.clean(told)
            return _TOKEN.sub(withhold, told) if names else told
        if isinstance(told, dict):
            return {name: clean(value, name) for name, value in told.items()}
        return [clean(one, key) for one in told] if isinstance(told, list) else told

    keep = ("faceless", "recipes", "hash", "name", "created_at")
    return {key: value if key in keep else clean(value, key) for key, value in card.items()}


def _write_catalog(folder: Path, catalog: Path, shards: list[Shard], places: dict[str, Place]) -> None:
    """The tables that strangers query, one Parquet each."""
    folder.mkdir()
    rows = [
        {
            "shard": shard.name,
            "path": shard.path,
            "config": shard.config,
            "part": shard.part,
            "videos": len(shard.videos),
            "faces": 0 if shard.rows is None else len(shard.rows),
            "bytes": shard.bytes,
            "content": places[shard.name].content,
        }
        for shard in shards
    ]
    with connect_read(catalog) as db:
        db.register("placed", pa.Table.from_pylist(rows))
        for name, query in CATALOG.items():
            durable.write_file(folder / f"{name}.parquet", [_parquet(db.sql(query).to_arrow_table())])


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue().to_pybytes()

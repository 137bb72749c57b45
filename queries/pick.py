"""A split's answer, checked and put beside all that the catalog knows of its faces.

A face is looked for and sorted by the three numbers that its sample_id stands for, so that of ten million rows only
those of the videos in question are read, and of ids only the answer's.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from queries import manifest
from queries.errors import SplitError
from queries.locate import locate
from queries.split import SplitFile

_NUMBERS = ("attempt", "frame_index", "track")
_MOST_BYTES = (1 << 31) - (1 << 20)  # Arrow's strings have offsets of 32 bits
_JOIN_PARTNERS = """
    LEFT JOIN (FROM sample_rows WHERE attempt IN (SELECT partner_attempt FROM located)) o
    ON o.attempt = partner_attempt AND o.frame_index = partner_frame_index AND o.track = partner_track
    LEFT JOIN picked_attempts p ON p.attempt = o.attempt
"""
_OPTIONAL = {"role": "VARCHAR", "weight": "REAL", "stream": "VARCHAR", "label": "TINYINT"}


def pick(db: duckdb.DuckDBPyConnection, stems: pa.Table, answer: pa.Table, file: SplitFile) -> pa.Table:
    """The manifest of ``answer``, which has a row at least. Raises SplitError for all that is wrong with it.

    Leaves the tables ``picked_rows``, ``picked_attempts`` and ``picked_faceless``; see ``describe``.
    """
    if max(answer[name].nbytes for name in answer.column_names) > _MOST_BYTES:
        raise SplitError(
            f"{file.path} selects {len(answer):,} faces, whose ids take more than 2 GiB: pin it in parts, such as one "
            "for each dataset"
        )
    asked = _asked(db, answer)
    _locate(db, stems, asked)
    partners = asked["partner_id"].null_count < len(asked)
    found = _find(db, partners)
    order, again = _order(found)
    for about, message in _faults(db, asked, found, again, partners):
        if count := len(about):
            shown = f" (such as {', '.join(map(str, about.sort()[:3].to_pylist()))})"
            raise SplitError(f"{file.path} {message.format(n=f'{count:,}')}{shown}")
    if not len(found):
        raise SplitError(f"{file.path} selects videos without a face and no face at all")
    found = _with_partners(_take(found, order))
    rows = _beside(_take(asked.drop(["n", "video_id", "label"]), found["n"]), found.drop(["n"]))
    db.register("picked_rows", rows)
    videos = db.sql("SELECT video_id, dataset, method, label, shard FROM picked_attempts ORDER BY place")
    return manifest.assemble(rows, videos.to_arrow_table())


def describe(db: duckdb.DuckDBPyConnection) -> None:
    """Make the view ``picked``: the columns of `faces` for every selected face, and role, weight, stream, partner_id.

    Of the partner also partner_video_id, partner_frame_index, partner_shard, partner_recipe, partner_recipe_hash.
    """
    known = ", ".join(name for name in manifest.PLACES if not name.startswith("partner_"))
    db.execute(
        f"""
        CREATE TEMP TABLE picked_samples AS
        SELECT s.*, p.* EXCLUDE ({", ".join(_NUMBERS)}, sample_id, place, partner_place, {known})
        FROM sample_rows s JOIN picked_rows p USING ({", ".join(_NUMBERS)})
        WHERE attempt IN (SELECT attempt FROM picked_attempts)
        """
    )
    db.execute(
        """
        CREATE TEMP TABLE picked_videos AS
        SELECT * EXCLUDE (pack, missing, versions), pack AS shard
        FROM current_attempts SEMI JOIN picked_attempts USING (attempt)
        """
    )
    db.execute(
        """
        CREATE TEMP VIEW picked AS
        SELECT p.*, v.* EXCLUDE (attempt), image_offset AS "offset", image_size AS size,
               o.video_id AS partner_video_id, o.shard AS partner_shard,
               o.recipe AS partner_recipe, o.recipe_hash AS partner_recipe_hash
        FROM picked_samples p
        JOIN picked_videos v USING (attempt)
        LEFT JOIN picked_videos o ON o.attempt = partner_attempt
        """
    )


def _asked(db: duckdb.DuckDBPyConnection, answer: pa.Table) -> pa.Table:
    """The answer with all columns that one may have, in their types, and ``n``, which row it is."""
    has = set(answer.column_names)
    absent = {"role": "NULL", "weight": "1", "stream": "NULL", "label": "NULL"}
    casts = [f"{name if name in has else absent[name]}::{kind} AS {name}" for name, kind in _OPTIONAL.items()]
    db.register("answer", answer)
    short = db.sql(f"SELECT {', '.join(casts)} FROM answer").to_arrow_table()
    db.unregister("answer")
    nothing = pa.nulls(len(answer), pa.string())
    ids = {name: answer[name] if name in has else nothing for name in ("sample_id", "video_id", "partner_id")}
    return _beside(pa.table({"n": pa.array(np.arange(len(answer))), **ids}), short)


def _locate(db: duckdb.DuckDBPyConnection, stems: pa.Table, asked: pa.Table) -> None:
    """The numbers of each face asked for and of its partner as ``located``; their videos, and those without a face."""
    own, partners = locate(stems, asked["sample_id"], asked["partner_id"])
    partners = partners.rename_columns([f"partner_{name}" for name in partners.column_names])
    located = _beside(_beside(asked.select(["n"]), own), partners)
    db.register("located", located.filter(pc.is_valid(located["attempt"])))
    db.register("asked", asked)
    db.execute(
        """
        CREATE TEMP TABLE picked_attempts AS
        SELECT attempt, video_id, dataset, method, label, recipe, recipe_hash, pack AS shard, place
        FROM current_attempts JOIN (
            SELECT attempt, row_number() OVER (ORDER BY stem || '/') - 1 AS place
            FROM stems WHERE attempt IN (SELECT attempt FROM located UNION SELECT partner_attempt FROM located)
        ) USING (attempt)
        """
    )
    some = "WHERE video_id IN (SELECT video_id FROM asked WHERE sample_id IS NULL)"
    db.execute(
        f"CREATE TEMP TABLE picked_faceless AS FROM faceless {some if asked['sample_id'].null_count else 'LIMIT 0'}"
    )


def _find(db: duckdb.DuckDBPyConnection, partners: bool) -> pa.Table:
    """What the catalog has at these numbers: n, attempt, frame_index, track, place (of picked_attempts), PLACES.

    The same of ``partners``, unless there are none; a row that the catalog lacks is not there.
    """
    own = ", ".join(f"s.{name}" for name in manifest.PLACES if not name.startswith("partner_"))
    of_partners = [f"o.{name[8:]} AS {name}" for name in manifest.PLACES if name.startswith("partner_")]
    of_partners = ["o.attempt AS partner_attempt", "o.frame_index AS partner_frame_index", *of_partners]
    # that an attempt is a located one follows from the joins; where it is said, the rows of others are not read
    return db.sql(
        f"""
        SELECT n, s.attempt, s.frame_index, s.track, v.place, {own}
               {", p.place AS partner_place, " + ", ".join(of_partners) if partners else ""}
        FROM located l
        JOIN (FROM sample_rows WHERE attempt IN (SELECT attempt FROM located)) s USING (attempt, frame_index, track)
        JOIN picked_attempts v USING (attempt)
        {_JOIN_PARTNERS if partners else ""}
        """
    ).to_arrow_table()


def _with_partners(found: pa.Table) -> pa.Table:
    """With the columns of partners, where there are none."""
    if "partner_attempt" in found.column_names:
        return found
    kinds = {"attempt": pa.int32(), "frame_index": pa.int64(), "place": found["place"].type}
    kinds |= {name: found[name].type for name in manifest.PLACES if f"partner_{name}" in manifest.PLACES}
    return _beside(found, pa.table({f"partner_{name}": pa.nulls(len(found), kind) for name, kind in kinds.items()}))


def _order(found: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Its rows sorted by place, frame and track, which is the order of sample_ids; rows that are there twice."""
    number = np.zeros(len(found), np.int64)
    for name in ("place", "frame_index", "track"):
        column = found[name].to_numpy()
        number = number * (int(column.max(initial=0)) + 1) + column  # a million videos of a million frames fit
    order = np.argsort(number, kind="stable")
    return pa.array(order), pa.array(order[1:][np.diff(number[order]) == 0])


def _faults(
    db: duckdb.DuckDBPyConnection, asked: pa.Table, found: pa.Table, again: pa.Array, partners: bool
) -> Iterator[tuple[pa.ChunkedArray, str]]:
    """(rows that are wrong, what is wrong with them), gravest first; ``again``: what ``found`` has twice."""

    def of(query: str) -> pa.Array:
        return db.sql(query).to_arrow_table()[0]

    ids, none = asked["sample_id"], pa.chunked_array([], pa.string())
    yield (
        pa.chunked_array([pc.unique(ids.take(found["n"].take(again)))]),
        "returns {n} faces more than once: a join multiplies rows, or DISTINCT is missing",
    )
    lacking = np.ones(len(asked), bool)
    lacking[found["n"].to_numpy()] = False
    yield (
        pc.drop_null(ids.filter(pa.array(lacking))),
        "returns {n} sample_ids that are not in faces: select them from there",
    )
    yield (
        of(
            "SELECT coalesce(video_id, '(no video_id)') FROM asked WHERE sample_id IS NULL "
            "AND (video_id IS NULL OR video_id NOT IN (SELECT video_id FROM picked_faceless))"
        ),
        "returns {n} rows without a sample_id that are no videos of the view faceless: select them from faces_or_none, "
        "with sample_id and video_id",
    )
    lost = found["n"].filter(pc.is_null(found["partner_attempt"])) if partners else none
    yield (
        pc.drop_null(asked["partner_id"].take(lost)) if partners else none,
        "returns {n} partner_ids that are not in faces: see the macro with_partner",
    )
    yield (
        of("SELECT DISTINCT role FROM asked WHERE role NOT IN ('source', 'target')"),
        "returns a role that is neither 'source' nor 'target' nor null",
    )
    yield (
        of(
            "SELECT coalesce(sample_id, video_id) || ': ' || coalesce(weight::VARCHAR, 'null') FROM asked "
            "WHERE weight IS NULL OR NOT isfinite(weight) OR weight < 0"
        ),
        "returns {n} weights that are no numbers from 0 up",
    )
    yield (
        of(
            "SELECT sample_id FROM asked JOIN located USING (n) JOIN picked_attempts v USING (attempt) "
            "WHERE asked.label <> v.label"
        )
        if asked["label"].null_count < len(asked)
        else none,
        "returns for {n} faces another label than the catalog's: labels are mended with corrections, or left out here",
    )


def _take(table: pa.Table, rows: pa.Array | pa.ChunkedArray) -> pa.Table:
    """``table.take(rows)``, several columns at a time."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        taken = pool.map(lambda column: column.combine_chunks().take(rows), table.columns)
        return pa.table(dict(zip(table.column_names, taken, strict=True)))


def _beside(one: pa.Table, other: pa.Table) -> pa.Table:
    """The columns of both."""
    return pa.table({name: table[name] for table in (one, other) for name in table.column_names})

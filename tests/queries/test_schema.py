"""The catalog's columns and the manifest's are those that the other rooms write and read."""

import duckdb
import pyarrow as pa
import pytest

from queries import manifest
from queries.catalog import columns, connect_read, create, script
from shards import schema
from shards.features import PHASH

OWN = {
    "videos": ["in_scan"],
    "attempts": ["pack", "attempt", "current"],
    "packed": ["pack", "attempt"],
    "predictions": ["file"],
    "features": ["file"],
}
FIELDS = {
    "scanned": schema.VIDEO_FIELDS,
    "videos": schema.VIDEO_FIELDS,
    "packed": [*schema.VIDEO_FIELDS, *schema.ATTEMPT_FIELDS],
    "attempts": [schema.VIDEO_FIELDS[0], *schema.ATTEMPT_FIELDS],
    "samples": schema.SAMPLE_FIELDS,
    "predictions": schema.PREDICTION_FIELDS,
    "features": list(PHASH.schema),
}
# as `faces` is described to its users
PROMISED = {"sample_id", "dataset", "method", "category", "label", "raw_label", "quality", "video_id", "original_video"}
PROMISED |= {"target_id", "source_id", "visible_id", "official_split", "frame_index", "time_s", "track", "face_px"}
PROMISED |= {
    "det_score",
    "sharpness",
    "brightness",
    "yaw",
    "pitch",
    "roll",
    "box_x",
    "box_y",
    "box_w",
    "box_h",
    "width",
}
PROMISED |= {"height", "fps", "codec", "decoder", "bytes", "content", "recipe", "recipe_hash", "shard", "image_ext"}
PROMISED |= {"offset", "size", "draw_key"}


@pytest.mark.parametrize("table", FIELDS)
def test_a_table_has_the_columns_of_its_parquet_files_in_order_and_then_its_own(table):
    assert list(columns(table)) == [field.name for field in FIELDS[table]] + OWN.get(table, [])


@pytest.mark.parametrize("table", FIELDS)
def test_a_table_has_the_types_of_its_parquet_files_and_refuses_what_may_not_be_null(table):
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(script("schema"))
        db.execute(script("views"))
        types = db.sql(f"FROM {table}").to_arrow_table().schema
        stored = {"samples": "sample_rows"}.get(table, table)  # whose rows of packed have the rest
        nullable = {row[0]: row[2] == "YES" for row in db.execute(f"DESCRIBE {stored}").fetchall()}
    for field in FIELDS[table]:
        assert types.field(field.name).type == field.type, field.name
        assert nullable.get(field.name, field.nullable) == field.nullable, field.name


def test_the_manifest_has_the_fields_that_streaming_reads():
    assert manifest.MANIFEST == schema.MANIFEST
    assert manifest.STREAM == schema.STREAM
    assert manifest.MANIFEST_VERSION == schema.MANIFEST_VERSION


def test_faces_faceless_and_both_have_the_promised_columns(tmp_path):
    create(tmp_path / "catalog.duckdb")
    with connect_read(tmp_path / "catalog.duckdb") as db:
        views = [db.sql(f"FROM {view}") for view in ("faces", "faceless", "faces_or_none")]
        assert set(views[0].columns) >= PROMISED
        assert views[0].columns == views[1].columns == views[2].columns
        assert views[0].types == views[1].types == views[2].types


def test_every_view_and_macro_is_bound_to_what_there_is(tmp_path):
    create(tmp_path / "catalog.duckdb")
    with connect_read(tmp_path / "catalog.duckdb") as db:
        views = [row[0] for row in db.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
        assert len(views) > 4
        for view in views:
            assert isinstance(db.sql(f"FROM {view}").to_arrow_table(), pa.Table)

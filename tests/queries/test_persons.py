"""People are told by their faces: average linkage, the table of persons, the check, and sides that share nobody."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from queries.catalog import connect_read
from queries.check import check
from queries.disjoint import build
from queries.errors import SplitError
from queries.ingest import ingest_file, rebuild
from queries.persons import PERSONS, average_link, persons, write
from queries.pin import pin
from queries.verify import compare
from tests.queries import fabricate
from tests.queries.fabricate import attempt, video, write_pack
from tests.queries.world import run_here


@pytest.fixture(autouse=True)
def no_children(no_child, monkeypatch):
    monkeypatch.setattr("queries.disjoint.run_split", run_here)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.sampled_from([0.3, 0.8, 1.5, 3.0]))
def test_clusters_are_those_of_average_linkage_as_scipy_has_it(seed, count, limit):
    noise = np.random.default_rng(seed)
    centres = noise.normal(size=(max(1, count // 5), 6))
    points = centres[noise.integers(0, len(centres), count)] + 0.3 * noise.normal(size=(count, 6))
    ours = average_link(points, limit)
    theirs = fcluster(linkage(pdist(points, "sqeuclidean"), "average"), limit**2, "distance")
    assert ((ours[:, None] == ours) == (theirs[:, None] == theirs)).all()
    first = [ours.tolist().index(label) for label in range(ours.max() + 1)]
    assert first == sorted(first)


def test_points_that_are_all_the_same_are_one_cluster_and_no_points_are_none():
    assert average_link(np.ones((7, 4)), 0.1).tolist() == [0] * 7
    assert average_link(np.empty((0, 4)), 0.1).tolist() == []


def test_a_chain_of_strangers_is_not_one_person():
    chain = np.arange(60)[:, None] * 0.3  # neighbours are within the limit, the ends are 18 apart
    sizes = np.bincount(average_link(chain, 0.4))
    assert sizes.max() <= 3


def test_many_clusters_are_found_in_blocks(monkeypatch):
    monkeypatch.setattr("queries.persons._CELLS", 1000)
    noise = np.random.default_rng(0)
    people = np.repeat(noise.normal(size=(100, 128)), 5, axis=0)
    labels = average_link(people + 0.01 * noise.normal(size=people.shape), 0.4)
    assert labels.tolist() == np.repeat(np.arange(100), 5).tolist()


def write_embeddings(place, point_of) -> None:
    """Embeddings for every face of a store; ``point_of``: row of SAMPLES -> float32 [128] or None."""
    (place.store / "features").mkdir(exist_ok=True)
    schema = pa.schema(
        [("sample_id", pa.string()), ("kind", pa.string()), ("version", pa.int16())]
        + [("value", pa.list_(pa.float32(), 128))]
    )
    for file in place.store.glob("shards/*-??????.parquet"):
        rows = [
            {"sample_id": row["sample_id"], "kind": "embedding", "version": 1, "value": point_of(row)}
            for row in pq.read_table(file).to_pylist()
        ]
        path = place.store / "features" / f"{file.stem}-embedding-v1.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


FACES = {f"{n}": np.eye(128, dtype="f4")[n] * 0.7 for n in range(40)}  # two of them are 0.99 apart


@pytest.fixture
def known(place):
    """Twelve real clips of six people whom nobody names, two of each, and a forgery of the first."""
    rows = [video("original", f"{clip:02d}", 0, "mine") for clip in range(12)]
    rows.append(video("swap", "fake", 1, "mine", original_video="mine/original/c23/00"))
    rows.append(video("original", "named", 0, "named", target_id="named:somebody"))
    write_pack(place.store, "p-000000", [attempt(row, 3) for row in rows])
    fabricate.write_recipe(place.store)
    shown = {f"{clip:02d}": str(clip % 6) for clip in range(12)} | {"fake": "7", "named": "0"}

    def point(row):
        noise = np.random.default_rng(row["draw_key"] % 2**32)
        return FACES[shown[row["video_id"].rpartition("/")[2]]] + 0.01 * noise.normal(size=128).astype("f4")

    write_embeddings(place, point)
    place.ingest()
    return place


def keep(place):
    found = persons(place.catalog)
    ingest_file(place.catalog, place.store, write(found, place.store))
    return found


def between(place, one, other):
    sides = {"one": one, "other": other}
    pins = [place.pin(f"SELECT sample_id FROM faces WHERE {where}", name) for name, where in sides.items()]
    return {finding.rule: finding for finding in check(place.catalog, [pinned.path for pinned in pins])}


def test_people_are_named_by_the_first_video_that_shows_them(known):
    found = keep(known)
    assert (found.clusters, len(found.tracks), found.unknown) == (7, 14, 0)
    with connect_read(known.catalog) as db:
        query = "SELECT list(video_id ORDER BY video_id) FROM persons WHERE person = 'mine/original/c23/01#0'"
        assert db.execute(query).fetchall() == [(["mine/original/c23/01", "mine/original/c23/07"],)]
        assert db.execute("SELECT DISTINCT faces FROM persons").fetchall() == [(3,)]
        assert db.execute("SELECT max(away) < 0.2 FROM persons").fetchall() == [(True,)]


def test_a_person_on_both_sides_is_found_where_nobody_is_named_and_another_is_not(known):
    assert "shared_persons" not in between(known, "name = '01'", "name = '07'")
    keep(known)
    leak = between(known, "name = '01'", "name = '07'")["shared_persons"]
    assert (leak.severity, leak.examples) == ("warning", ["mine/original/c23/01 and mine/original/c23/07"])
    assert "shared_persons" not in between(known, "name = '01'", "name = '08'")


def test_the_person_of_a_forgery_is_also_the_one_of_its_original(known):
    keep(known)
    leak = between(known, "name = 'fake'", "name = '06'")["shared_persons"]
    assert leak.examples == ["mine/swap/c23/fake and mine/original/c23/06"]
    assert "shared_persons" not in between(known, "name = 'fake'", "name = '07'")


def test_a_name_and_a_face_that_are_one_person_are_found_but_not_what_names_tell_already(known):
    keep(known)
    assert "shared_persons" in between(known, "dataset = 'named'", "name = '06'")
    assert "shared_persons" not in between(known, "name = '00'", "name = 'fake'")  # the same clip: shared_footage


def test_sides_by_faces_share_nobody_and_sides_by_names_do(known):
    keep(known)
    base = known.folder / "base.sql"
    base.write_text("-- all of it\nSELECT sample_id FROM faces")

    def shared(folder, **how):
        built = build(known.catalog, base, known.folder / folder, val=0.15, test=0.15, **how)
        pins = [pin(known.catalog, known.store, file) for file in built.files]
        assert sum(one.videos for one in pins) == 14
        return {finding.rule for finding in check(known.catalog, [one.path for one in pins])} - {"unknown_identities"}

    assert shared("names") == {"shared_persons"}
    assert shared("faces", persons=True) == set()


def test_sides_by_faces_need_faces(known):
    base = known.folder / "base.sql"
    base.write_text("-- all of it\nSELECT sample_id FROM faces")
    with pytest.raises(SplitError, match="deepshard persons"):
        build(known.catalog, base, known.folder / "faces", persons=True)


def test_faces_without_an_embedding_are_counted_and_belong_to_nobody(known):
    write_embeddings(known, lambda row: None if "original/c23/0" in row["video_id"] else FACES["1"])
    known.ingest()
    assert (persons(known.catalog).unknown, persons(known.catalog).clusters) == (10, 1)
    write_embeddings(known, lambda row: None)
    known.ingest()
    assert persons(known.catalog).tracks == []


def test_embeddings_can_be_compared_in_sql_and_come_back_with_a_rebuild(known):
    keep(known)
    nearest = """
        SELECT array_distance(a.embedding, b.embedding) < 0.4, array_distance(a.embedding, c.embedding) > 0.9
        FROM embeddings a, embeddings b, embeddings c
        WHERE a.sample_id LIKE '%/01/000000-0' AND b.sample_id LIKE '%/07/000000-0' AND c.sample_id LIKE '%/08/000000-0'
    """
    tables = ("embeddings", "persons")
    with connect_read(known.catalog) as db:
        assert db.execute(nearest).fetchall() == [(True, True)]
        before = [db.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables]
    assert compare(known.catalog, known.store).rows == []
    rebuild(known.catalog, known.store)
    with connect_read(known.catalog) as db:
        assert [db.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables] == before
    assert pq.read_schema(known.store / "persons" / "tracks.parquet").names == PERSONS.names

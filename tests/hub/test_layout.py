"""Which face lies in which shard: each once, by dataset and official split; the same shards wherever others come."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hub.layout import config_of, lay_out
from shards import schema
from shards.pack import pack
from tests import fabricate


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """(samples, videos) of 20 videos in five packs, of three official splits, two of them without a face."""
    root = tmp_path_factory.mktemp("packs")
    made = [fabricate.video_row(f"{number:03d}", "swapped" if number % 2 else "original") for number in range(20)]
    parts = [
        fabricate.write_part(root / f"{number:02d}.part", video, 0 if number in (3, 14) else 3, masks=number % 2 == 0)
        for number, video in enumerate(made)
    ]
    samples, videos = [], []
    for number in range(4):
        for kind in (0, 1):
            packed = pack(
                parts[number * 5 + (number + kind) % 2 : number * 5 + 5 : 2], root / "shards", f"p-{number}-{kind}"
            )
            samples.append(pq.read_table(packed.samples))
            rows = pq.read_table(packed.videos).replace_schema_metadata(None).cast(schema.PACKED_VIDEOS)
            part = [("train", "test", "unsplit")[int(name[-2:]) % 3] for name in rows["name"].to_pylist()]
            rows = rows.append_column("pack", pa.array([packed.name] * len(rows)))
            videos.append(rows.append_column("part", pa.array(part, pa.string())))
    whole = pa.concat_tables(samples).replace_schema_metadata(None)
    return whole.cast(schema.SAMPLES), pa.concat_tables(videos)


@pytest.mark.parametrize("filled", [1, 5_000, 1 << 30])
def test_every_face_and_every_video_is_in_one_shard_of_its_split(packs, filled):
    samples, videos = packs
    shards = lay_out(samples, videos, samples, filled)
    rows = pa.concat_tables(shard.rows for shard in shards if shard.rows is not None)
    assert sorted(rows["sample_id"].to_pylist()) == sorted(samples["sample_id"].to_pylist())
    there = [name for shard in shards for name in shard.videos["video_id"].to_pylist()]
    assert sorted(there) == sorted(videos["video_id"].to_pylist())
    part = dict(zip(videos["video_id"].to_pylist(), videos["part"].to_pylist(), strict=True))
    for shard in shards:
        assert {part[name] for name in shard.videos["video_id"].to_pylist()} == {shard.part}
        assert shard.videos["video_id"].to_pylist() == sorted(shard.videos["video_id"].to_pylist())
        if shard.rows is not None:
            assert len({row is None for row in shard.rows["mask_offset"].to_pylist()}) == 1
            assert shard.rows["sample_id"].to_pylist() == shard.old["sample_id"].to_pylist()
            assert set(shard.rows["shard"].to_pylist()) == {shard.name}


def test_paths_count_up_to_how_many_there_are(packs):
    shards = lay_out(*packs, packs[0], filled=1)
    paths = [shard.path for shard in shards]
    assert len(set(paths)) == len(paths) and len({shard.name for shard in shards}) == len(paths)
    for part in ("train", "test", "unsplit"):
        of = [path for path in paths if path.startswith(f"data/demo/{part}-")]
        assert of == [f"data/demo/{part}-{number:05d}-of-{len(of):05d}" for number in range(len(of))] and len(of) > 1


@pytest.mark.parametrize("gone", range(4))
def test_shards_of_packs_that_stayed_the_same_keep_their_names_wherever_others_come(packs, gone):
    samples, videos = packs
    less = videos.filter(pa.array([not name.startswith(f"p-{gone}-") for name in videos["pack"].to_pylist()]))
    kept = set(less["video_id"].to_pylist())
    faces = samples.filter(pa.array([name in kept for name in samples["video_id"].to_pylist()]))
    with_faces = {shard.name for shard in lay_out(faces, less, faces, filled=1) if shard.rows is not None}
    assert with_faces
    more = {shard.name for shard in lay_out(samples, videos, samples, filled=1)}
    assert len(with_faces - more) <= 2  # those to which a video without a face went


def test_a_split_without_any_face_has_a_mark_alone(packs):
    samples, videos = packs
    faceless = videos.filter(pa.array([status != "done" for status in videos["status"].to_pylist()]))
    none = samples.slice(0, 0)
    shards = lay_out(none, faceless, none)
    assert [shard.path for shard in shards if shard.rows is None] == [shard.path for shard in shards]
    assert all(shard.path.endswith("-without-faces") and shard.bytes == 0 for shard in shards)


def test_a_configuration_can_be_a_folder():
    assert config_of("celebdf-v2") == "celebdf-v2" and config_of("my set: 1") == "my-20set-3A-201"

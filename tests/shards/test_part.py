"""Parts: what goes in comes out, what does not fit is refused, memory stays small, damage is seen."""

import hashlib
import tarfile
import tracemalloc

import numpy as np
import pytest
import xxhash

from shards.errors import PartError
from shards.part import PartWriter, clear_unfinished, read_part
from tests.fabricate import attempt_row, sample_row, video_row, write_part

CONTENT = hashlib.sha256(b"video").hexdigest()
MEMBERS = {"png": b"pixels", "json": b"{}", "mask.png": b"mask"}


def test_a_part_makes_no_folder_which_might_be_on_another_machine_than_the_store(tmp_path):
    with pytest.raises(FileNotFoundError):
        PartWriter(tmp_path / "store" / "000.part", video_row("000"))
    assert not (tmp_path / "store").exists()


def test_a_part_gives_back_its_samples_and_rows(tmp_path):
    video = video_row("000")
    with PartWriter(tmp_path / "000.part", video) as writer:
        for frame, track in ((0, 0), (0, 1), (7, 0), (7, 11)):
            writer.add(sample_row(frame, CONTENT, track), MEMBERS | {"json": b'{"frame": "%d"}' % frame})
        path = writer.finish(attempt_row(4, CONTENT, frames_read=2))
    part = read_part(path)
    rows = part.samples.to_pylist()
    assert [(row["frame_index"], row["track"]) for row in rows] == [(0, 0), (0, 1), (7, 0), (7, 11)]
    assert part.video_row() | video == part.video_row() and part.video_row()["frames_read"] == 2
    data = path.read_bytes()
    assert b"".join(part.chunks()) == data[: part.tar_size]
    with tarfile.open(path, "r:") as file:
        names = file.getnames()
        assert names == [f"{row['key']}.{end}" for row in rows for end in ("json", "mask.png", "png")]
        for row in rows:
            for member, end in (("image", "png"), ("json", "json"), ("mask", "mask.png")):
                begin, size = row[f"{member}_offset"], row[f"{member}_size"]
                stored = data[begin : begin + size]
                assert stored == file.extractfile(f"{row['key']}.{end}").read()
                assert xxhash.xxh3_64_intdigest(stored) == row[f"{member}_xxh3"]
    assert [entry.name for entry in path.parent.iterdir()] == ["000.part"]


@pytest.mark.parametrize("status", ["no_face", "failed"])
def test_a_video_without_a_face_has_a_part_too(tmp_path, status):
    with PartWriter(tmp_path / "a.part", video_row("000")) as writer:
        path = writer.finish(attempt_row(0, None, status, reason="decoder stopped"))
    part = read_part(path)
    assert part.samples.num_rows == part.tar_size == 0
    assert part.video_row()["status"] == status and part.video_row()["reason"] == "decoder stopped"


def test_leaving_a_writer_without_finish_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), PartWriter(tmp_path / "a.part", video_row("000")) as writer:
        writer.add(sample_row(0, CONTENT), MEMBERS)
        assert len(list(tmp_path.iterdir())) == 1
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_finished_writer_takes_nothing_more_and_keeps_its_file(tmp_path):
    with PartWriter(tmp_path / "a.part", video_row("000")) as writer:
        writer.add(sample_row(0, CONTENT), MEMBERS)
        writer.finish(attempt_row(1, CONTENT))
        with pytest.raises(PartError, match="closed"):
            writer.add(sample_row(1, CONTENT), MEMBERS)
        writer.abort()
    assert read_part(tmp_path / "a.part").samples.num_rows == 1


def test_after_a_failed_write_the_part_cannot_be_finished(tmp_path, monkeypatch):
    def no_space(file, data):
        file.write(data[:100])
        raise OSError(28, "No space left on device")

    with PartWriter(tmp_path / "a.part", video_row("000")) as writer:
        writer.add(sample_row(0, CONTENT), MEMBERS)
        with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
            patched.setattr("shards.durable.write", no_space)
            writer.add(sample_row(1, CONTENT), MEMBERS)
        with pytest.raises(PartError, match="start this video again"):
            writer.finish(attempt_row(1, CONTENT))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("row", "members", "told"),
    [
        (sample_row(5, CONTENT), MEMBERS, "order of frame"),
        (sample_row(4, CONTENT), MEMBERS, "order of frame"),
        (sample_row(6, CONTENT), {"png": b"p", "json": b"{}"}, "same members"),
        (sample_row(6, CONTENT), {"jpg": b"p", "json": b"{}", "mask.png": b"m"}, "image_ext of its row"),
        (sample_row(6, CONTENT), MEMBERS | {"txt": b"t"}, "image_ext of its row"),
        (sample_row(6, CONTENT), MEMBERS | {"json": b""}, "json is empty"),
        (sample_row(6, CONTENT), MEMBERS | {"json": b"[1"}, "not a JSON object"),
        (sample_row(6, CONTENT), MEMBERS | {"json": b"7"}, "not a JSON object"),
        (sample_row(6, CONTENT), MEMBERS | {"json": b'{"a": 1}'}, "every JSON of a shard has the same fields"),
        (sample_row(6, CONTENT, image_ext="bmp"), MEMBERS, "not one of"),
        (sample_row(6, CONTENT, frame_index=None), MEMBERS, "must not be None"),
        (sample_row(6, CONTENT, colour="red"), MEMBERS, "unknown fields.*colour"),
        (sample_row(6, "0" * 64), MEMBERS, "another recipe or content"),
        (sample_row(6, CONTENT, sample_id="mine"), MEMBERS, "sample_id disagree"),
        (sample_row(6, CONTENT, video_id="a/b/c/d"), MEMBERS, "video_id disagree"),
        ({"frame_index": 6}, MEMBERS, "missing fields"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_and_the_part_goes_on(tmp_path, row, members, told):
    with PartWriter(tmp_path / "a.part", video_row("000")) as writer:
        writer.add(sample_row(5, CONTENT), MEMBERS)
        with pytest.raises(PartError, match=told):
            writer.add(row, members)
        writer.add(sample_row(8, CONTENT), MEMBERS)
        part = read_part(writer.finish(attempt_row(2, CONTENT)))
    assert len(b"".join(part.chunks())) == part.tar_size and part.samples["frame_index"].to_pylist() == [5, 8]


@pytest.mark.parametrize(
    ("samples", "attempt", "told"),
    [
        (1, attempt_row(2, CONTENT), "1 samples were added"),
        (1, attempt_row(1, CONTENT, "failed"), "no_face and failed have none"),
        (0, attempt_row(0, CONTENT), "done has at least one"),
        (0, attempt_row(0, CONTENT, "no_face", reason=None), "reason in words"),
        (1, attempt_row(1, "0" * 64), "differs from that of its samples"),
        (1, attempt_row(1, CONTENT, "perfect"), "must be done, no_face or failed"),
    ],
)
def test_an_attempt_that_contradicts_its_samples_is_refused(tmp_path, samples, attempt, told):
    with PartWriter(tmp_path / "a.part", video_row("000")) as writer:
        for frame in range(samples):
            writer.add(sample_row(frame, CONTENT), MEMBERS)
        with pytest.raises(PartError, match=told):
            writer.finish(attempt)


def test_a_video_row_must_be_whole(tmp_path):
    with pytest.raises(PartError, match="missing fields.*label"):
        PartWriter(tmp_path / "a.part", {k: v for k, v in video_row("000").items() if k != "label"})
    assert list(tmp_path.iterdir()) == []


def test_a_long_video_is_written_in_the_memory_of_one_sample(tmp_path):
    face = np.random.default_rng(0).bytes(1 << 20)
    with PartWriter(tmp_path / "a.part", video_row("000")) as writer:
        tracemalloc.start()
        for frame in range(24):
            writer.add(sample_row(frame, CONTENT), {"png": face, "json": b"{}"})
        writer.finish(attempt_row(24, CONTENT))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "a.part").stat().st_size > 24 << 20
    assert peak < 3 << 20


def test_every_flipped_byte_of_a_part_is_seen(tmp_path):
    path = write_part(tmp_path / "a.part", video_row("000"), 2)
    data = path.read_bytes()
    for place in range(0, len(data), 61):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        with pytest.raises(PartError, match="is damaged|another version"):
            for _ in read_part(path).chunks():
                pass


def test_a_part_that_is_not_there_is_no_finished_video(tmp_path):
    with pytest.raises(PartError, match="does not exist"):
        read_part(tmp_path / "a.part")


@pytest.mark.parametrize("kept", [0, 10, 1000, -1])
def test_a_part_cut_short_is_seen(tmp_path, kept):
    path = write_part(tmp_path / "a.part", video_row("000"), 2)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(PartError, match="delete it and curate again"):
        read_part(path)


def test_what_a_killed_writer_left_can_be_cleared(tmp_path):
    kept = write_part(tmp_path / "a.part", video_row("000"), 1)
    PartWriter(tmp_path / "b.part", video_row("001"))  # neither finished nor aborted
    assert clear_unfinished(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [kept]

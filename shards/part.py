"""A video's part: one file with the samples of one video as tar members and, at its end, their rows.

Samples are written as they come, so that a worker holds one face at a time and not a video of them. The file gets its
name only when it is whole and fsynced: a part on disk is a finished video, also one that gave no face, and a killed
worker leaves nothing but a ``.tmp``. The tar comes first and is closed by its end blocks, so that ``tar -t`` reads a
part too. Layout: tar | rows of the samples (Arrow IPC) | row of the video (Arrow IPC) | footer of 48 bytes.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from shards import durable, schema, tar
from shards.errors import PartError

_MAGIC = b"dsPART01"
_FOOTER = struct.Struct("<8s5Q")  # magic, bytes of tar, of sample rows, of the video row, xxh3 of the tar, of the rows
_COPY = 8 << 20
_PLACED = ["shard", *[f.name for f in schema.SAMPLE_FIELDS if f.name.endswith(("_offset", "_size", "_xxh3"))]]
_DERIVED = ["key", "sample_id", "draw_key"]
_GIVEN = [f.name for f in schema.SAMPLE_FIELDS if f.name not in _PLACED + _DERIVED]

PART_SAMPLES = pa.schema([field for field in schema.SAMPLE_FIELDS if field.name != "shard"])


class PartWriter:
    """Writes one part. Use as a context manager: leaving it without ``finish`` removes what was written.

    ``video_row`` holds every field of VIDEO_FIELDS, None where unknown. The folder must be there: one made here could
    be on another machine than the store. Memory: one sample's bytes and the rows. Raises OSError.
    """

    def __init__(self, path: Path | str, video_row: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._video = _checked(video_row, schema.VIDEO_FIELDS, f"the row of video {video_row.get('video_id')}")
        self._rows: list[dict[str, Any]] = []
        self._extensions: tuple[str, ...] | None = None
        self._fields: list[str] | None = None  # of the JSON member
        self._sum = xxhash.xxh3_64()
        self._size = 0
        self._broken = False  # a write failed half way
        self._tmp = durable.unfinished(self.path)
        self._file = durable.create(self._tmp)

    def add(self, sample_row: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
        """Append one sample.

        ``sample_row``: the fields of SAMPLE_FIELDS without ``shard`` and without offsets, sizes and checksums, which
        are found here; ``key``, ``sample_id`` and ``draw_key`` may be left out. ``members``: extension to bytes, the
        image's extension and ``json``, with ``mask.png`` where the recipe keeps masks; the same for every sample.
        Samples come in rising order of frame, then track. Raises PartError.
        """
        row = self._row(sample_row)
        self._check_members(row, members)
        blocks = []
        for extension in sorted(members):
            data = members[extension]
            # a header is one block, so the data starts one block after the end of what is there
            column = {"json": "json", "mask.png": "mask"}.get(extension, "image")
            row[f"{column}_offset"] = self._size + tar.BLOCK
            row[f"{column}_size"] = len(data)
            row[f"{column}_xxh3"] = xxhash.xxh3_64_intdigest(data)
            blocks += [tar.header(f"{row['key']}.{extension}", len(data)), data, tar.padding(len(data))]
            self._size += tar.span(len(data))
        self._write(b"".join(blocks))
        self._rows.append(row)

    def finish(self, attempt_row: Mapping[str, Any]) -> Path:
        """Write the rows, fsync, and give the file its name. Afterwards the video is finished, whatever happens.

        ``attempt_row`` holds every field of ATTEMPT_FIELDS. Raises PartError where it contradicts the samples:
        ``faces`` counts them, ``done`` needs one, ``no_face`` and ``failed`` have none.
        """
        attempt = _checked(attempt_row, schema.ATTEMPT_FIELDS, f"the attempt at video {self._video['video_id']}")
        self._check_attempt(attempt)
        self._write(tar.END)
        tar_size, tar_sum = self._size + len(tar.END), self._sum.intdigest()
        samples = _to_ipc(pa.Table.from_pylist(self._rows, schema=PART_SAMPLES))
        video = _to_ipc(pa.Table.from_pylist([self._video | attempt], schema=schema.PACKED_VIDEOS))
        rows_sum = xxhash.xxh3_64_intdigest(samples + video)
        footer = _FOOTER.pack(_MAGIC, tar_size, len(samples), len(video), tar_sum, rows_sum)
        durable.write(self._file, samples + video + footer)
        durable.fsync(self._file)
        self._file.close()
        durable.rename(self._tmp, self.path)
        durable.sync_folder(self.path.parent)
        return self.path

    def abort(self) -> None:
        """Remove what was written so far. Does nothing after ``finish``."""
        if not self._file.closed:
            self._file.close()
        durable.remove(self._tmp)

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def _write(self, data: bytes) -> None:
        if self._broken or self._file.closed:
            raise PartError(f"{self.path}: a write failed or the part is closed; start this video again")
        self._broken = True
        durable.write(self._file, data)
        self._sum.update(data)
        self._broken = False

    def _row(self, given: Mapping[str, Any]) -> dict[str, Any]:
        row = {"video_id": self._video["video_id"], **given}
        what = f"a sample of video {self._video['video_id']}"
        derived = {name: row.pop(name) for name in _DERIVED if name in row}
        row = _checked(row, [schema.SAMPLES.field(name) for name in _GIVEN], what)
        key = schema.sample_key(self._video["video_id"], row["frame_index"], row["track"])
        sample = schema.sample_id(row["recipe_hash"], row["content"], key)
        row |= {"key": key, "sample_id": sample, "draw_key": schema.draw_key(sample)}
        wrong = [name for name, value in derived.items() if value != row[name]]
        if row["video_id"] != self._video["video_id"]:
            wrong.append("video_id")
        if wrong:
            raise PartError(f"{what}: {', '.join(wrong)} disagree with {sample}; leave them out, they are found here")
        if self._rows:
            last = self._rows[-1]
            if (row["frame_index"], row["track"]) <= (last["frame_index"], last["track"]):
                raise PartError(f"{what}: {key} comes after {last['key']}; add samples in order of frame, then track")
            if (row["recipe_hash"], row["content"]) != (last["recipe_hash"], last["content"]):
                raise PartError(f"{what}: {key} has another recipe or content hash than {last['key']}")
        return row

    def _check_members(self, row: dict[str, Any], members: Mapping[str, bytes]) -> None:
        extensions = tuple(sorted(members))
        if row["image_ext"] not in schema.IMAGE_EXTENSIONS:
            raise PartError(f"{row['key']}: image_ext {row['image_ext']!r} is not one of {schema.IMAGE_EXTENSIONS}")
        if set(extensions) - {"mask.png"} != {row["image_ext"], "json"}:
            raise PartError(
                f"{row['key']} has members {', '.join(extensions)}: it must have json, the image_ext of its row "
                f"({row['image_ext']}) and, where the recipe keeps masks, mask.png"
            )
        if self._extensions not in (None, extensions):
            raise PartError(
                f"{row['key']} has members {', '.join(extensions)}, the samples before {', '.join(self._extensions)}: "
                "every sample of a shard has the same members (an untouched face has a mask of zeros)"
            )
        empty = [extension for extension in extensions if not members[extension]]
        if empty:
            raise PartError(f"{row['key']}: member {empty[0]} is empty")
        fields = json_fields(members["json"], row["key"])
        if self._fields not in (None, fields):
            raise PartError(
                f"{row['key']}: its JSON has fields {fields}, the samples before have {self._fields}: every JSON of a "
                "shard has the same fields"
            )
        self._extensions, self._fields = extensions, fields

    def _check_attempt(self, attempt: dict[str, Any]) -> None:
        count, status = len(self._rows), attempt["status"]
        what = f"the attempt at video {self._video['video_id']}"
        if status not in ("done", "no_face", "failed"):
            raise PartError(f"{what}: status is {status!r}, it must be done, no_face or failed")
        if attempt["faces"] != count:
            raise PartError(f"{what}: faces is {attempt['faces']}, but {count} samples were added")
        if (status == "done") != (count > 0):
            raise PartError(
                f"{what}: status {status} with {count} samples; done has at least one, no_face and failed have none "
                "(abort this part and write one without samples)"
            )
        if status != "done" and not attempt["reason"]:
            raise PartError(f"{what}: status {status} needs a reason in words")
        if count and any(attempt[name] != self._rows[0][name] for name in ("recipe_hash", "content")):
            raise PartError(f"{what}: recipe_hash or content differs from that of its samples")


@dataclass(frozen=True)
class Part:
    """A finished part. ``samples``: PART_SAMPLES, offsets count from the start of the part; ``video``: one row."""

    path: Path
    samples: pa.Table
    video: pa.Table
    tar_size: int  # bytes of members, without the end blocks
    tar_sum: int  # xxh3_64 of members and end blocks

    def video_row(self) -> dict[str, Any]:
        """The video's fields of PACKED_VIDEOS by name."""
        return self.video.to_pylist()[0]

    def fields(self) -> list[str]:
        """The names of the first sample's JSON member; none if there is no sample. Raises PartError if damaged."""
        if not self.samples.num_rows:
            return []
        first = self.samples.select(["key", "json_offset", "json_size", "json_xxh3"]).slice(0, 1).to_pylist()[0]
        with open(self.path, "rb") as file:
            file.seek(first["json_offset"])
            data = file.read(first["json_size"])
        if xxhash.xxh3_64_intdigest(data) != first["json_xxh3"]:
            raise _damaged(self.path, "its samples' checksum differs")
        return json_fields(data, first["key"])

    def chunks(self) -> Iterator[bytes]:
        """The members' bytes, in pieces of at most 8 MiB. Raises PartError at the end if they are not as written."""
        checksum, left = xxhash.xxh3_64(), self.tar_size
        with open(self.path, "rb") as file:
            while left and (chunk := file.read(min(left, _COPY))):
                checksum.update(chunk)
                left -= len(chunk)
                yield chunk
            checksum.update(file.read(len(tar.END)))
        if left or checksum.intdigest() != self.tar_sum:
            raise _damaged(self.path, "its samples' checksum differs")

    def check(self) -> None:
        """Read the members' bytes. Raises PartError if they are not as written."""
        for _ in self.chunks():
            pass


def json_fields(data: bytes, key: str) -> list[str]:
    """The names of a sample's JSON member, sorted: ``datasets`` infers its columns from the first few samples."""
    try:
        return sorted(json.loads(data))
    except (ValueError, TypeError) as error:
        raise PartError(f"{key}: its JSON member is not a JSON object ({error})") from None


def clear_unfinished(folder: Path | str) -> int:
    """Remove what killed writers left in a folder of parts; returns how many. Call it while no writer is at work."""
    left = sorted(Path(folder).glob("*.tmp"))
    return sum(durable.remove(path) for path in left)


def read_part(path: Path | str) -> Part:
    """Read the rows of a part; the samples' bytes are checked when they are copied. Raises PartError if damaged."""
    path = Path(path)
    if not path.exists():
        raise PartError(f"{path} does not exist: its video is not finished, curate it")
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _FOOTER.size))
        footer = file.read()
        if len(footer) != _FOOTER.size or not footer.startswith(_MAGIC):
            raise _damaged(path, "it has no footer")
        _, tar_size, samples_size, video_size, tar_sum, rows_sum = _FOOTER.unpack(footer)
        if tar_size + samples_size + video_size + _FOOTER.size != size:
            raise _damaged(path, f"it has {size} bytes, its footer tells of another size")
        file.seek(tar_size)
        rows = file.read(samples_size + video_size)
    if xxhash.xxh3_64_intdigest(rows) != rows_sum:
        raise _damaged(path, "its rows' checksum differs")
    samples, video = _from_ipc(rows[:samples_size]), _from_ipc(rows[samples_size:])
    if not samples.schema.equals(PART_SAMPLES) or not video.schema.equals(schema.PACKED_VIDEOS):
        raise PartError(f"{path} was written by another version of deepshard: delete it and curate its video again")
    return Part(path, samples, video, tar_size - len(tar.END), tar_sum)


def _checked(row: Mapping[str, Any], fields: list[pa.Field], what: str) -> dict[str, Any]:
    names = {field.name for field in fields}
    missing, unknown = sorted(names - set(row)), sorted(set(row) - names)
    if missing or unknown:
        raise PartError(f"{what}: missing fields {missing}, unknown fields {unknown}; give None for what is not known")
    null = [field.name for field in fields if not field.nullable and row[field.name] is None]
    if null:
        raise PartError(f"{what}: {', '.join(null)} must not be None")
    return dict(row)


def _damaged(path: Path, why: str) -> PartError:
    return PartError(f"{path} is damaged ({why}): delete it and curate again, only its video is redone")


def _to_ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _from_ipc(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()

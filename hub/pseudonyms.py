"""People and videos under names that only the holder of a key can make again: HMAC-SHA256, 64 bits of it.

The same key gives the same names, so pairs still join, over pushes too. Names of datasets, methods and qualities stay,
and so does the official split. The content hash goes as well: whoever has a video could find it by that. 64 bits
suffice: among a million names the chance that any two meet is below 1 in 10 million.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hub.errors import HubError
from shards import schema

_LEAST = 16  # bytes of a key
_IDENTITIES = ("target_id", "source_id", "visible_id")


class Pseudonyms:
    """The names that one key gives."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, file: Path) -> "Pseudonyms":
        """Those of a key file. Raises HubError if it cannot be read or is too short."""
        try:
            key = file.read_bytes().strip()
        except OSError as error:
            raise HubError(
                f"the key {file} cannot be read ({error.strerror}): make one that nobody else has, with "
                f"`head -c 32 /dev/urandom | base64 > {file}`, and keep it: the same key gives the same names again"
            ) from None
        if len(key) < _LEAST:
            raise HubError(f"the key {file} has {len(key)} bytes, at least {_LEAST} are needed: make a longer one")
        return cls(key)

    def _digest(self, kind: str, text: str, digits: int = 16) -> str:
        return hmac.new(self._key, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()[:digits]

    def identity(self, name: str | None) -> str | None:
        """``ffpp:043`` becomes ``ffpp:0f3c...``; nobody stays nobody."""
        if not name:
            return name
        dataset, colon, person = name.partition(":")
        return f"{dataset}:{self._digest('person', name)}" if colon and person else self._digest("person", name)

    def video(self, video_id: str | None) -> str | None:
        """``dataset/method/quality/name`` with another name."""
        if not video_id:
            return video_id
        place, _, name = video_id.rpartition("/")
        return f"{place}/{self._digest('video', name)}"

    def content(self, digest: str | None) -> str | None:
        """Stands for the SHA-256 of a video's bytes."""
        return digest and self._digest("content", digest, 64)

    def samples(self, samples: pa.Table) -> pa.Table:
        """SAMPLES with new names, in the same order; the JSON members' sizes and checksums are not touched."""
        samples = _mapped(_mapped(samples, "video_id", self.video), "content", self.content)
        frames = zip(
            samples["video_id"].to_pylist(),
            samples["frame_index"].to_pylist(),
            samples["track"].to_pylist(),
            strict=True,
        )
        keys = [schema.sample_key(video, frame, track) for video, frame, track in frames]
        named = zip(samples["recipe_hash"].to_pylist(), samples["content"].to_pylist(), keys, strict=True)
        ids = [schema.sample_id(recipe, content, key) for recipe, content, key in named]
        new = {"key": keys, "sample_id": ids, "draw_key": [schema.draw_key(sample) for sample in ids]}
        for name, values in new.items():
            samples = _put(samples, name, pa.chunked_array([pa.array(values, samples.schema.field(name).type)]))
        return samples

    def videos(self, videos: pa.Table) -> pa.Table:
        """PACKED_VIDEOS or VIDEOS with new names; a reason that names the old ones names the new ones."""
        old = videos.select(["video_id", "name", "path", "mask_path"]).to_pylist()
        for name in _IDENTITIES:
            videos = _mapped(videos, name, self.identity)
        for name in ("video_id", "original_video"):
            videos = _mapped(videos, name, self.video)
        if "content" in videos.column_names:
            videos = _mapped(videos, "content", self.content)
        new = [video.rpartition("/")[2] for video in videos["video_id"].to_pylist()]
        columns = {
            "name": new,
            "path": new,
            "mask_path": [n if o["mask_path"] else None for n, o in zip(new, old, strict=True)],
        }
        if "reason" in videos.column_names:
            texts = zip(videos["reason"].to_pylist(), videos["missing"].to_pylist(), old, new, strict=True)
            renamed = [(_renamed(reason, o, n), _renamed_all(missing, o, n)) for reason, missing, o, n in texts]
            columns |= {"reason": [reason for reason, _ in renamed], "missing": [missing for _, missing in renamed]}
        for name, values in columns.items():
            videos = _put(videos, name, pa.chunked_array([pa.array(values, videos.schema.field(name).type)]))
        return videos

    def face(self, data: bytes) -> bytes:
        """A JSON member with new names."""
        facts = json.loads(data)
        for name in _IDENTITIES:
            facts[name] = self.identity(facts[name])
        for name in ("video_id", "original_video"):
            facts[name] = self.video(facts[name])
        facts["content"] = self.content(facts["content"])
        facts["key"] = schema.sample_key(facts["video_id"], facts["frame_index"], facts["track"])
        facts["sample_id"] = schema.sample_id(facts["recipe_hash"], facts["content"], facts["key"])
        return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _renamed(text: str | None, old: dict, new: str) -> str | None:
    for name in sorted(filter(None, old.values()), key=len, reverse=True):
        text = text and text.replace(name, new)
    return text


def _renamed_all(missing: list | None, old: dict, new: str) -> list | None:
    return missing and [{**one, "reason": _renamed(one["reason"], old, new)} for one in missing]


def _mapped(table: pa.Table, name: str, new: Callable[[str | None], str | None]) -> pa.Table:
    """A column of text of which each different value is looked at once."""
    codes = table[name].combine_chunks().dictionary_encode()
    words = pa.array([new(word) for word in codes.dictionary.to_pylist()], pa.string())
    return _put(table, name, pa.chunked_array([words.take(codes.indices)]))


def _put(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), column)


def old_names(videos: pa.Table) -> list[str]:
    """Whatever names people or videos in these rows, longest first; for whoever looks whether any is left."""
    columns = ("video_id", "name", "path", "mask_path", "original_video", *_IDENTITIES)
    names = {word for column in columns for word in pc.unique(videos[column]).to_pylist() if word}
    return sorted(names, key=len, reverse=True)

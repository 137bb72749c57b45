"""The columns that travel between the rooms, and the names of samples.

Sidecars, pinned splits and predictions are Arrow tables; these are their schemas, kept in one place because curation
writes them, the catalog indexes them and training reads them. Keys are built here too, so that exactly one function
decides how a name becomes a key. Columns are flat (no nested member lists): DuckDB and Arrow scan them faster so.
"""

import hashlib

import pyarrow as pa

from shards.errors import ShardError

SIDECAR_VERSION = 1
MANIFEST_VERSION = 1
IMAGE_EXTENSIONS = ("png", "webp", "jpg")

VIDEO_FIELDS = [
    pa.field("video_id", pa.string(), nullable=False),  # dataset/method/quality/name, each part escaped
    pa.field("dataset", pa.string(), nullable=False),
    pa.field("method", pa.string(), nullable=False),
    pa.field("category", pa.string(), nullable=False),  # real | swap | reenactment | synthesis | edit | mixed | unknown
    pa.field("quality", pa.string(), nullable=False),  # raw | c23 | c40 | native
    pa.field("name", pa.string(), nullable=False),  # as on disk, unescaped
    pa.field("label", pa.int8(), nullable=False),  # 0 real, 1 fake
    pa.field("raw_label", pa.string()),  # the dataset's own word
    pa.field("target_id", pa.string()),  # whose footage was edited
    pa.field("source_id", pa.string()),  # who gave the face or the motion
    pa.field("visible_id", pa.string()),  # whom one sees
    pa.field("original_video", pa.string()),  # video_id of the real clip a fake was made from
    pa.field("official_split", pa.string()),  # train | val | test, null where the set has none
    pa.field("kind", pa.string(), nullable=False),  # video | image | frames (a folder of images)
    pa.field("aligned", pa.bool_(), nullable=False),  # already cropped faces: resize only
    pa.field("source", pa.string(), nullable=False),  # the scanned source it came from
    pa.field("path", pa.string(), nullable=False),  # relative to the source's root, POSIX
    pa.field("mask_path", pa.string()),  # likewise
    pa.field("bytes", pa.int64()),  # size of the file (of all images of a folder)
    pa.field("mtime_ns", pa.int64()),
]

ATTEMPT_FIELDS = [
    pa.field("recipe_hash", pa.string(), nullable=False),  # 64 hex digits
    pa.field("content", pa.string()),  # SHA-256 of the video's bytes, 64 hex digits; null if it could not be read
    pa.field("status", pa.string(), nullable=False),  # done | no_face | failed
    pa.field("reason", pa.string()),  # why there is no face, in words
    pa.field("decoder", pa.string()),  # "decord 0.6.0", "pyav 18.0.0", "opencv 5.0" (images)
    pa.field("codec", pa.string()),
    pa.field("width", pa.int32()),  # of the upright frame
    pa.field("height", pa.int32()),
    pa.field("fps", pa.float64()),
    pa.field("frame_count", pa.int64()),  # frames the decoder can reach, not what the header claims
    pa.field("rotation", pa.int32()),  # degrees clockwise that were undone
    pa.field("frames_wanted", pa.int32()),
    pa.field("frames_read", pa.int32()),
    pa.field("frames_with_face", pa.int32()),
    pa.field("faces", pa.int32()),
    pa.field("missing", pa.list_(pa.struct([pa.field("frame_index", pa.int64()), pa.field("reason", pa.string())]))),
    pa.field("versions", pa.string()),  # JSON: library -> version; provenance, not part of the recipe
    pa.field("attempted_at", pa.timestamp("us", tz="UTC")),
]

_MEMBER_BYTES = [("image", False), ("json", False), ("mask", True)]

SAMPLE_FIELDS = [
    pa.field("sample_id", pa.string(), nullable=False),  # recipe8/content8/key
    pa.field("key", pa.string(), nullable=False),  # video_id/FFFFFF-T
    pa.field("video_id", pa.string(), nullable=False),
    pa.field("recipe_hash", pa.string(), nullable=False),
    pa.field("content", pa.string(), nullable=False),
    pa.field("frame_index", pa.int64(), nullable=False),  # absolute, from 0
    pa.field("time_s", pa.float64()),
    pa.field("track", pa.int16(), nullable=False),
    pa.field("draw_key", pa.int64(), nullable=False),  # seeded draws start from this, see draw_key()
    pa.field("box_x", pa.float32()),  # face box in the upright frame, pixels, top left corner
    pa.field("box_y", pa.float32()),
    pa.field("box_w", pa.float32()),
    pa.field("box_h", pa.float32()),
    pa.field("face_px", pa.float32()),  # side of the face in the frame: sqrt(box area), pixels
    pa.field("det_score", pa.float32()),
    pa.field("sharpness", pa.float32()),
    pa.field("brightness", pa.float32()),
    pa.field("yaw", pa.float32()),  # degrees
    pa.field("pitch", pa.float32()),
    pa.field("roll", pa.float32()),
    pa.field("landmark_scheme", pa.string()),
    pa.field("image_ext", pa.string(), nullable=False),  # png | webp | jpg
    pa.field("shard", pa.string(), nullable=False),  # file stem of the tar
    *[
        field
        for member, nullable in _MEMBER_BYTES
        for field in (
            pa.field(f"{member}_offset", pa.int64(), nullable=nullable),  # of the member's data, not of its header
            pa.field(f"{member}_size", pa.int32(), nullable=nullable),
            pa.field(f"{member}_xxh3", pa.uint64(), nullable=nullable),  # xxh3_64 of the member's data
        )
    ],
]

_WORD = pa.dictionary(pa.int32(), pa.string())

MANIFEST_FIELDS = [
    pa.field("sample_id", pa.string(), nullable=False),
    pa.field("video_id", _WORD, nullable=False),
    pa.field("dataset", _WORD, nullable=False),
    pa.field("method", _WORD, nullable=False),
    pa.field("label", pa.int8(), nullable=False),
    pa.field("weight", pa.float32(), nullable=False),  # 1 where the query gives none
    pa.field("role", _WORD),  # source | target | null
    pa.field("frame_index", pa.int64(), nullable=False),
    pa.field("shard", _WORD, nullable=False),
    pa.field("image_ext", _WORD, nullable=False),
    *[field for field in SAMPLE_FIELDS if field.name.endswith(("_offset", "_size", "_xxh3"))],
    pa.field("partner_id", pa.string()),
    pa.field("partner_shard", _WORD),
    pa.field("partner_image_ext", _WORD),
    pa.field("partner_image_offset", pa.int64()),
    pa.field("partner_image_size", pa.int32()),
    pa.field("partner_image_xxh3", pa.uint64()),
]

STREAM = pa.field("stream", _WORD)  # of which set a face is: behind the others, only in a split that tells sets apart

PREDICTION_FIELDS = [
    pa.field("run_id", pa.string(), nullable=False),
    pa.field("checkpoint", pa.string(), nullable=False),  # step or name inside the run
    pa.field("split", pa.string(), nullable=False),
    pa.field("split_hash", pa.string(), nullable=False),
    pa.field("sample_id", pa.string()),  # null for a video without any face, whose score is 0.5 by convention
    pa.field("video_id", pa.string(), nullable=False),
    pa.field("label", pa.int8(), nullable=False),
    pa.field("score", pa.float32(), nullable=False),  # probability of fake
]

SAMPLES = pa.schema(SAMPLE_FIELDS)
VIDEOS = pa.schema(VIDEO_FIELDS)
PACKED_VIDEOS = pa.schema([*VIDEO_FIELDS, *ATTEMPT_FIELDS])
MANIFEST = pa.schema(MANIFEST_FIELDS)
PREDICTIONS = pa.schema(PREDICTION_FIELDS)

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=@,")
_COMPONENT_LIMIT = 64  # USTAR holds 155 bytes of folder: dataset, method and quality are short, the name may be long


def escape(component: str) -> str:
    """One part of a key: everything but ASCII letters, digits and ``_-+=@,`` becomes ``%XX`` of its UTF-8 bytes.

    WebDataset and ``datasets`` end a key at its first dot, so a key holds none; ``/`` separates the parts. A part
    longer than 64 characters is cut and ends in ``~`` and 12 digits of its SHA-256, so that it still fits USTAR and
    stays unique (``~`` never occurs otherwise). Names whose bytes are not UTF-8, as ``os.listdir`` gives them, are
    escaped by those bytes. Raises ShardError for an empty part and for a lone surrogate that stands for no byte.
    """
    if not component:
        raise ShardError("a key cannot have an empty part: dataset, method, quality and name must all be given")
    try:
        raw = component.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ShardError(
            f"{component!r} is not a file name that could be encoded ({error.reason}): rename it"
        ) from None
    quoted = "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02X}" for byte in raw)
    if len(quoted) <= _COMPONENT_LIMIT:
        return quoted
    digest = hashlib.sha256(raw).hexdigest()[:12]
    return f"{quoted[: _COMPONENT_LIMIT - 13]}~{digest}"


def video_id(dataset: str, method: str, quality: str, name: str) -> str:
    """The global name of a video, ``dataset/method/quality/name``: no shorter name is unique in this field."""
    return "/".join(escape(part) for part in (dataset, method, quality, name))


def sample_key(video: str, frame_index: int, track: int) -> str:
    """``video_id/FFFFFF-T``: sorts by time up to a million frames, and tells a person where the face came from.

    Raises ShardError for a negative frame or track.
    """
    if frame_index < 0 or track < 0:
        raise ShardError(f"frame {frame_index}, track {track} of {video}: both count from 0")
    return f"{video}/{frame_index:06d}-{track}"


def sample_id(recipe_hash: str, content: str, key: str) -> str:
    """The key with eight digits of its recipe's and of its video's hash in front: unique for ever."""
    return f"{recipe_hash[:8]}/{content[:8]}/{key}"


def draw_key(sample: str) -> int:
    """First 63 bits of the SHA-256 of a sample id, the start of every seeded draw (non-negative, fits a BIGINT).

    Computed once and stored, so that a draw depends neither on a database's hash function nor on its version.
    """
    return int.from_bytes(hashlib.sha256(sample.encode()).digest()[:8], "big") >> 1

"""Videos that show the same footage, found by the perceptual hashes of their faces, and what they are to each other.

Not all pairs are compared. The hashes are sorted several times, each time by other bits first, and each is compared
with the few that follow it: near ones stand close together in at least one of the orders (M. Charikar, "Similarity
estimation techniques from rounding algorithms", STOC 2002, section 3; G. Manku et al., "Detecting near-duplicates for
web crawling", WWW 2007). So the number of comparisons is at most ``ORDERS * WINDOW`` a face, however alike the faces
are. Given up: certainty. A near pair can be missed; a clip has several faces, each of which can find the other clip,
and videos that were found near a third one are then compared with each other, face by face.

What is kept is about videos, not faces (``store/duplicates``, tables duplicate_groups and duplicate_matches): whether a
clip leaks is a question about the clip, the frames of one clip are all near each other anyway, and a hundred thousand
rows in the place of ten million make every lint a small join. A row holds for a video's bytes, under any recipe; a
video without a row was not compared, which is how lints see what came later.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from queries.catalog import connect_read
from queries.whole import whole_file

ORDERS, WINDOW = 16, 8  # sorts; followers that each hash is compared with
FACES = 8  # of each video in the index, evenly spaced; all its faces are compared where one was found
WHOLE = 200  # videos of a group up to which all its pairs are compared
HASH_BYTES = 72  # of a face, as shards/phash.py makes them
DISTANCE = 112  # of 576 bits, see docs/look.md
SHARE = 0.5  # of the faces of the video that has fewer

_SEED = 1  # of the order of bits
_ONES = HASH_BYTES  # bits of each value that a hash must have, an eighth, else it is of nearly nothing

GROUPS = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
        pa.field("duplicate_group", pa.string(), nullable=False),
        pa.field("footage_group", pa.string(), nullable=False),
        pa.field("faces", pa.int32(), nullable=False),
    ]
)
MATCHES = pa.schema(
    [
        pa.field("one", pa.string(), nullable=False),
        pa.field("other", pa.string(), nullable=False),
        pa.field("relation", pa.string(), nullable=False),
        pa.field("told", pa.bool_(), nullable=False),
        pa.field("matching", pa.int32(), nullable=False),
        pa.field("faces", pa.int32(), nullable=False),
        pa.field("least", pa.int32(), nullable=False),
        pa.field("median", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Match:
    """Two videos with like faces, ``one`` before ``other`` by name. Distances are in bits of 576.

    ``relation``: same file (SHA-256) | same footage (both real, or both forged by one method) | forgery (one is real,
    the other fake) | sibling forgeries (both fake, of different methods or of one original). ``told``: the datasets
    themselves say so. ``matching`` of ``faces`` faces of the video that has fewer lie within the distance of a face of
    the other.
    """

    one: str
    other: str
    relation: str
    told: bool
    matching: int
    faces: int
    least: int
    median: float  # over the matching faces, of the distance to the nearest face


@dataclass(frozen=True)
class Group:
    """Videos of the same footage, with the matches between them."""

    videos: list[str]
    matches: list[Match]


@dataclass(frozen=True)
class Video:
    """A video that was compared. ``duplicate_group``, ``footage_group``: see ``grouped``; ``faces``: that were."""

    video_id: str
    content: str
    duplicate_group: str
    footage_group: str
    faces: int


@dataclass
class Duplicates:
    """``groups``: same file or same footage; ``forgeries``: all other matches; ``videos``: all that were compared, by
    name. ``compared``: pairs of faces in the index; ``unhashed``: current faces without a hash; ``blank``: faces whose
    hash says nothing, as of a black frame."""

    groups: list[Group] = field(default_factory=list)
    forgeries: list[Match] = field(default_factory=list)
    videos: list[Video] = field(default_factory=list)
    distance: int = DISTANCE
    faces: int = 0
    unhashed: int = 0
    blank: int = 0
    compared: int = 0


def duplicates(
    catalog: str | Path, recipe: str | None = None, distance: int = DISTANCE, share: float = SHARE
) -> Duplicates:
    """Find the near-identical videos of a catalog, by its newest hashes. Faces of two recipes are not compared.

    ``recipe``: only of the recipe of this name. Raises NoCatalog, CatalogError, CatalogBusy.
    """
    found = Duplicates(distance=distance)
    with connect_read(catalog) as db:
        videos, codes, faces, hashes = _load(db, recipe, found)
    recipes = np.array([video["recipe_hash"] for video in videos])
    known: dict[tuple[str, str], Match] = {}
    for one in dict.fromkeys(recipes.tolist()):
        mine = recipes[codes] == one
        places, own = np.unique(codes[mine], return_inverse=True)
        compared = [videos[place] for place in places.tolist()]
        pairs, cost = near_videos(hashes[mine], own, distance)
        found.compared += cost
        pairs |= _same_files(compared)
        for (a, b), evidence in verify(hashes[mine], own, faces[mine], pairs, distance, share).items():
            relation, told = _relation(compared[a], compared[b])
            match = Match(compared[a]["video_id"], compared[b]["video_id"], relation, told, *evidence)
            known.setdefault((match.one, match.other), match)
    matches = [match for _, match in sorted(known.items())]
    same = [match for match in matches if match.relation.startswith("same")]
    components = _components([(match.one, match.other) for match in same])
    member = {video: number for number, component in enumerate(components) for video in component}
    within: list[list[Match]] = [[] for _ in components]
    for match in same:
        within[member[match.one]].append(match)
    found.groups = [Group(sorted(names), inside) for names, inside in zip(components, within, strict=True)]
    found.forgeries = [match for match in matches if not match.relation.startswith("same")]
    counts = np.bincount(codes[np.diff(faces, prepend=-1) > 0], minlength=len(videos)).tolist()
    found.videos = grouped([(video, n) for video, n in zip(videos, counts, strict=True) if n], found)
    return found


def grouped(compared: Sequence[tuple[dict[str, Any], int]], found: Duplicates) -> list[Video]:
    """The groups of each video, named by the first video in them: its own name where it is alone.

    A duplicate group holds the same footage in the same state: real with real, fakes of one method with each other. A
    footage group holds also the forgeries of it, those that look alike and those that the datasets tell of.
    """
    footage = {group.videos[0]: group.videos for group in found.groups}
    first = {video: name for name, videos in footage.items() for video in videos}
    links = [(name, video) for name, videos in footage.items() for video in videos]
    links += [(match.one, match.other) for match in found.forgeries]
    links += [(video["video_id"], ("~clip", *_footage(video))) for video, _ in compared]
    names = {video["video_id"] for video, _ in compared}
    root = {}
    for component in _components(links, key=str):
        inside = [node for node in component if node in names]
        root |= dict.fromkeys(inside, min(inside, default=""))
    kept: dict[tuple[str, str], Video] = {}
    for video, faces in compared:
        name, content = video["video_id"], video["content"]
        if (name, content) not in kept or kept[name, content].faces < faces:  # of several recipes that with most
            kept[name, content] = Video(name, content, first.get(name, name), root[name], faces)
    return [kept[key] for key in sorted(kept)]


def write(found: Duplicates, store: str | Path) -> list[Path]:
    """Keep the answer in ``store/duplicates``, in the place of an earlier one: groups.parquet, then matches.parquet."""
    folder = Path(store) / "duplicates"
    folder.mkdir(parents=True, exist_ok=True)
    matches = sorted([*found.forgeries, *(match for group in found.groups for match in group.matches)], key=_names)
    card = {"distance": found.distance, "faces": found.faces, "unhashed": found.unhashed, "blank": found.blank}
    files = []
    for name, rows, schema in (("groups", found.videos, GROUPS), ("matches", matches, MATCHES)):
        columns = [[getattr(row, column) for row in rows] for column in schema.names]
        table = pa.table(columns, schema=schema.with_metadata({b"deepshard": json.dumps(card).encode()}))
        with whole_file(folder / f"{name}.parquet") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        files.append(folder / f"{name}.parquet")
    return files


def near_hashes(
    hashes: np.ndarray, owners: np.ndarray, distance: int, orders: int = ORDERS, window: int = WINDOW
) -> tuple[np.ndarray, int]:
    """Pairs of rows within ``distance`` bits whose owners differ, int64 [P,2], and how many pairs were compared.

    ``hashes``: uint8 [N,W], W a multiple of 8; ``owners``: int [N]. At most ``orders * window * N`` pairs are compared,
    in memory that grows with N and the pairs found. Pairs that stand far apart in every order are not found.
    """
    count, width = hashes.shape
    shuffled = _shuffle(hashes)
    words = np.ascontiguousarray(hashes).view(np.uint64)
    found, compared = [np.empty(0, np.int64)], 0
    for number in range(orders):
        columns = (number * width // orders + np.arange(8)) % width
        key = np.ascontiguousarray(shuffled[:, columns]).view(">u8").ravel()
        order = np.argsort(key, kind="stable")
        bits, own = words[order], owners[order]
        for step in range(1, min(window, count - 1) + 1):
            far = np.bitwise_count(bits[step:] ^ bits[:-step]).sum(axis=1, dtype=np.uint16)
            near = np.flatnonzero((far <= distance) & (own[step:] != own[:-step]))
            a, b = order[near], order[near + step]
            found.append(np.minimum(a, b) * count + np.maximum(a, b))
            compared += count - step
    codes = np.unique(np.concatenate(found))
    return np.stack([codes // max(count, 1), codes % max(count, 1)], axis=1), compared


def near_videos(hashes: np.ndarray, codes: np.ndarray, distance: int) -> tuple[set[tuple[int, int]], int]:
    """Pairs of videos, the smaller code first, worth a look, and how many pairs of faces were compared.

    ``codes``: int [N], the video of each hash, sorted.
    """
    chosen = np.concatenate([np.empty(0, np.int64), *(
        np.unique(np.linspace(start, stop - 1, FACES).round().astype(np.int64)) for start, stop in _spans(codes)
    )])  # fmt: skip
    rows, compared = near_hashes(hashes[chosen], codes[chosen], distance)
    pairs = np.sort(codes[chosen][rows], axis=1)
    found = set(map(tuple, np.unique(pairs, axis=0).tolist()))
    for group in _components(list(found)):
        if len(group) <= WHOLE:
            members = sorted(group)
            found |= {(a, b) for i, a in enumerate(members) for b in members[i + 1 :]}
    return found, compared


def verify(
    hashes: np.ndarray,
    codes: np.ndarray,
    faces: np.ndarray,
    pairs: set[tuple[int, int]],
    distance: int,
    share: float,
) -> dict[tuple[int, int], tuple[int, int, int, float]]:
    """All faces of each pair of videos compared: pair -> (matching, faces, least, median), see Match.

    ``faces``: int [N], the face of each hash, sorted. Pairs of which fewer than ``share`` of the faces match are left
    out.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)
    begins = np.diff(faces, prepend=-1) > 0
    spans = _spans(codes)
    counts = np.bincount(codes[begins]).tolist() if len(codes) else []
    found = {}
    for pair in sorted(pairs):
        few, many = (slice(*spans[video]) for video in sorted(pair, key=counts.__getitem__))
        nearest = np.bitwise_count(words[few, None] ^ words[None, many]).sum(axis=2, dtype=np.uint16).min(axis=1)
        nearest = np.minimum.reduceat(nearest, np.flatnonzero(begins[few]))
        near = nearest[nearest <= distance]
        if len(near) and len(near) >= share * len(nearest):
            found[pair] = (len(near), len(nearest), int(near.min()), float(np.median(near)))
    return found


def _load(
    db: duckdb.DuckDBPyConnection, recipe: str | None, found: Duplicates
) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray, np.ndarray]:
    """(videos with their facts; video and face of each hash, int64 [N], rising; hashes uint8 [N,72]); counts them.

    A face that came as a crop has hashes of its inner parts too.
    """
    db.execute(
        """
        CREATE TEMP TABLE asked AS
        SELECT row_number() OVER (ORDER BY recipe_hash, video_id) - 1 AS code, recipe_hash, pack, attempt, video_id,
               dataset, method, name, quality, label, original_video, content
        FROM current_attempts WHERE status = 'done' AND ($recipe IS NULL OR recipe = $recipe)
        """,
        {"recipe": recipe},
    )
    videos = db.sql("SELECT * EXCLUDE (code, pack, attempt) FROM asked ORDER BY code").to_arrow_table().to_pylist()
    samples = "asked JOIN sample_rows s USING (attempt)"
    ((all_faces,),) = db.execute(f"SELECT count(*) FROM {samples}").fetchall()
    rows = db.sql(
        f"""
        SELECT code, whole.value || coalesce(part.value, ''::BLOB) AS value
        FROM {samples}
        JOIN features whole ON whole.sample_id = s.sample_id AND whole.file = format($whole, pack)
        LEFT JOIN features part ON part.sample_id = s.sample_id AND part.file = format($part, pack)
        ORDER BY code, frame_index, track
        """,
        params={"whole": _file(db, "phash"), "part": _file(db, "phash-inner")},
    ).to_arrow_table()
    hashes = np.frombuffer(b"".join(rows["value"].to_pylist()), np.uint8).reshape(-1, HASH_BYTES)
    lengths = pc.binary_length(rows["value"]).to_numpy() // HASH_BYTES
    faces = np.repeat(np.arange(len(rows)), lengths)
    ones = np.bitwise_count(hashes.view(np.uint64)).sum(axis=1, dtype=np.uint16)
    telling = ((ones >= _ONES) & (ones <= 8 * HASH_BYTES - _ONES))[np.diff(faces, prepend=-1) > 0]
    found.faces, found.unhashed, found.blank = len(rows), all_faces - len(rows), int((~telling).sum())
    kept = telling[faces]
    return videos, np.repeat(rows["code"].to_numpy(), lengths)[kept], faces[kept], hashes[kept]


def _file(db: duckdb.DuckDBPyConnection, kind: str) -> str:
    """The files of the newest version of a kind of feature, with {} for the shard."""
    ((version,),) = db.execute("SELECT max(version) FROM features WHERE kind = ?", [kind]).fetchall()
    return f"features/{{}}-{kind}-v{version}.parquet"


def _same_files(videos: Sequence[dict[str, Any]]) -> set[tuple[int, int]]:
    """Pairs of neighbours among the videos that are the same bytes."""
    last: dict[str, int] = {}
    pairs = set()
    for place, video in enumerate(videos):
        if video["content"] in last:
            pairs.add((last[video["content"]], place))
        last[video["content"]] = place
    return pairs


def _relation(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, bool]:
    """What two videos with like faces are to each other, and whether their datasets say so."""
    if one["content"] == other["content"]:
        return "same file", False
    its, others = _footage(one), _footage(other)
    if one["label"] != other["label"]:
        return "forgery", its == others
    if one["label"] == 0:
        return "same footage", its == others
    if (one["dataset"], one["method"]) != (other["dataset"], other["method"]):
        return "sibling forgeries", its == others
    if one["name"] == other["name"]:
        return "same footage", one["quality"] != other["quality"]
    # one method, two names: other faces put on one clip, where it is known; else it may be one fake twice
    return ("sibling forgeries", True) if its == others else ("same footage", False)


def _footage(video: dict[str, Any]) -> tuple[str, ...]:
    """The clip behind a video, its own or that which it was forged from, without its quality."""
    dataset, method, _, name = (video["original_video"] or video["video_id"]).split("/")
    return dataset, method, name


def _names(match: Match) -> tuple[str, str]:
    return match.one, match.other


def _shuffle(hashes: np.ndarray) -> np.ndarray:
    """The same bits of each hash in another order, so that neighbouring coefficients are not sorted by together."""
    order = np.random.default_rng(_SEED).permutation(hashes.shape[1] * 8)
    pieces = [
        np.packbits(np.unpackbits(hashes[start : start + 65536], axis=1)[:, order], axis=1)
        for start in range(0, len(hashes), 65536)
    ]
    return np.concatenate(pieces) if pieces else hashes


def _spans(codes: np.ndarray) -> list[tuple[int, int]]:
    """Where the rows of each video begin and end; ``codes`` are sorted and count from 0."""
    stops = np.flatnonzero(np.diff(codes, append=codes[-1:] + 1)) + 1
    return list(zip([0, *stops[:-1].tolist()], stops.tolist(), strict=True)) if len(codes) else []


def _components(pairs: list[tuple], key=None) -> list[set]:
    """What is joined by pairs, in the order of the smallest members; ``key``: what they are ordered by."""
    leader: dict = {}

    def find(member):
        while leader.setdefault(member, member) != member:
            leader[member] = leader[leader[member]]
            member = leader[member]
        return member

    for one, other in pairs:
        a, b = sorted((find(one), find(other)), key=key)
        leader[b] = a
    groups: dict = {}
    for member in sorted(leader, key=key):
        groups.setdefault(find(member), set()).add(member)
    return list(groups.values())

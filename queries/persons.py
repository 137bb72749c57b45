"""Who is in which video, where file names do not tell: clusters of the embeddings of faces.

Each person followed through a video is one point, the mean of a few embeddings; points are joined by average linkage:
two clusters become one where the distance between their members, in the square mean, is within a limit. Single linkage
would chain strangers together: among 100,000 videos somebody always stands between two people. The two nearest
clusters of each other are joined in rounds, which gives the tree that joining the nearest pair of all gives (F.
Murtagh, "A survey of recent advances in hierarchical clustering algorithms", The Computer Journal 26(4), 1983), for
N^2 distances a round and memory that grows with N. What comes out is evidence, not identity; docs/look.md has how good.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from queries.catalog import connect_read
from queries.whole import whole_file

DISTANCE = 0.4  # between the members of a cluster, in the square mean; dlib's 0.6 is for two photographs

PERSONS = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
        pa.field("recipe_hash", pa.string(), nullable=False),
        pa.field("track", pa.int16(), nullable=False),
        pa.field("person", pa.string(), nullable=False),
        pa.field("faces", pa.int32(), nullable=False),
        pa.field("away", pa.float32(), nullable=False),
    ]
)
_CELLS = 1 << 25  # distances in memory at once


@dataclass(frozen=True)
class Track:
    """A person followed through a video. ``person``: the first track of the cluster, as VIDEO_ID#TRACK; ``faces``: with
    an embedding; ``away``: of their mean from the cluster's."""

    video_id: str
    content: str
    recipe_hash: str
    track: int
    person: str
    faces: int
    away: float


@dataclass
class Persons:
    """``tracks``: by video and track. ``unknown``: current videos without an embedding."""

    tracks: list[Track] = field(default_factory=list)
    distance: float = DISTANCE
    unknown: int = 0

    @property
    def clusters(self) -> int:
        return len({track.person for track in self.tracks})


def persons(catalog: str | Path, distance: float = DISTANCE) -> Persons:
    """Cluster the people of a catalog by the newest embeddings of their faces.

    Raises NoCatalog, CatalogError, CatalogBusy.
    """
    with connect_read(catalog) as db:
        rows = db.sql(
            """
            SELECT dense_rank() OVER (ORDER BY a.video_id, a.recipe_hash, s.track) - 1 AS code,
                   a.video_id, a.content, a.recipe_hash, s.track, e.embedding
            FROM current_attempts a
            JOIN sample_rows s USING (attempt)
            JOIN embeddings e ON e.sample_id = s.sample_id
                AND e.file = format('features/{}-embedding-v{}.parquet', a.pack, e.version)
            WHERE e.embedding IS NOT NULL AND e.version = (SELECT max(version) FROM embeddings)
            ORDER BY code, s.frame_index
            """
        ).to_arrow_table()
        ((videos,),) = db.execute(
            "SELECT count(DISTINCT video_id) FROM current_attempts WHERE status = 'done'"
        ).fetchall()
    found = Persons(distance=distance, unknown=videos - len(rows["video_id"].unique()))
    if not len(rows):
        return found
    points = rows["embedding"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    starts = np.flatnonzero(np.diff(rows["code"].to_numpy(), prepend=-1))
    counts = np.diff(starts, append=len(rows))
    means = np.add.reduceat(points.astype(np.float64), starts) / counts[:, None]
    labels = average_link(means, distance)
    centres = np.stack([np.bincount(labels, column) for column in means.T], axis=1) / np.bincount(labels)[:, None]
    away = np.linalg.norm(means - centres[labels], axis=1)
    facts = rows.select(["video_id", "content", "recipe_hash", "track"]).take(pa.array(starts)).to_pylist()
    first: dict[int, str] = {}
    for label, fact in zip(labels.tolist(), facts, strict=True):
        first.setdefault(label, f"{fact['video_id']}#{fact['track']}")
    found.tracks = [
        Track(**fact, person=first[label], faces=count, away=far)
        for fact, label, count, far in zip(facts, labels.tolist(), counts.tolist(), away.tolist(), strict=True)
    ]
    return found


def average_link(points: np.ndarray, limit: float) -> np.ndarray:
    """The cluster of each point, int64 [N], numbered by first members: average linkage of squared distances.

    ``points``: float [N,D]. Two clusters are joined while the root of the mean squared distance between a member of the
    one and a member of the other is at most ``limit``, nearest first.
    """
    labels = np.arange(len(points))
    numbers = labels.copy()  # of the clusters that may still grow
    centres = np.asarray(points, np.float64) - np.mean(points, axis=0) if len(points) else np.empty((0, 1))
    sizes, spreads = np.ones(len(points)), np.zeros(len(points))  # spread: mean squared distance to the centre
    while len(numbers) > 1:
        nearest, squares = _nearest(centres, spreads)
        growing = squares <= limit**2
        places = np.arange(len(numbers))
        one = np.flatnonzero(growing & (nearest[nearest] == places) & (places < nearest))
        if not len(one):
            if not growing.any():
                break
            one = np.array([np.argmin(squares)])  # equal distances in a ring, or told apart by rounding alone
        other = nearest[one]
        weight = sizes[one] / (sizes[one] + sizes[other])
        apart = ((centres[one] - centres[other]) ** 2).sum(axis=1)
        spreads[one] = weight * spreads[one] + (1 - weight) * spreads[other] + weight * (1 - weight) * apart
        centres[one] = weight[:, None] * centres[one] + (1 - weight)[:, None] * centres[other]
        sizes[one] += sizes[other]
        parent = np.arange(len(points))
        parent[numbers[other]] = numbers[one]
        labels = parent[labels]
        growing[other] = False  # whose nearest is too far stays so: a union is no nearer than its nearer part
        numbers, centres, sizes, spreads = (part[growing] for part in (numbers, centres, sizes, spreads))
    _, first, places = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[places]


def write(found: Persons, store: str | Path) -> Path:
    """Keep the answer in ``store/persons/tracks.parquet``, in the place of an earlier one."""
    path = Path(store) / "persons" / "tracks.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [[getattr(track, name) for track in found.tracks] for name in PERSONS.names]
    card = json.dumps({"distance": found.distance, "unknown": found.unknown}).encode()
    with whole_file(path) as file:
        table = pa.table(columns, schema=PERSONS.with_metadata({b"deepshard": card}))
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
    return path


def _nearest(centres: np.ndarray, spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other cluster of each, int64 [N], and the mean squared distance to its members, float64 [N]."""
    count = len(centres)
    points = centres.astype(np.float32)
    own = (points**2).sum(axis=1) + spreads.astype(np.float32)
    nearest, squares = np.empty(count, np.int64), np.empty(count)
    step = max(1, _CELLS // count)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        far = own[None] - 2 * (points[part] @ points.T)
        far[np.arange(part.stop - start), np.arange(start, part.stop)] = np.inf
        nearest[part] = far.argmin(axis=1)
        other = nearest[part]
        apart = ((centres[part] - centres[other]) ** 2).sum(axis=1)
        squares[part] = apart + spreads[part] + spreads[other]
    return nearest, squares

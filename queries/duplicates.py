"""Videos that show the same footage, found by the perceptual hashes of their faces, and what they are to each other.

Not all pairs are compared. The hashes are sorted several times, each time by other bits first, and each is compared
with the few that follow it: near ones stand close together in at least one of the orders (M. Charikar, "Similarity
estimation techniques from rounding algorithms", STOC 2002, section 3; G. Manku et al., "Detecting near-duplicates for
web crawling", WWW 2007). So the number of comparisons is at most ``ORDERS * WINDOW`` a face, however alike the faces
are. Given up: certainty. A near pair can be missed; a clip has several faces, each of which can find the other clip,
and videos that were found near a third one are then compared with each other, face by face.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from queries.catalog import connect_read

ORDERS, WINDOW = 16, 8  # sorts; followers that each hash is compared with
FACES = 8  # of each video in the index, evenly spaced; all its faces are compared where one was found
WHOLE = 200  # videos of a group up to which all its pairs are compared
DISTANCE = 44  # of 256 bits, see docs/look.md
SHARE = 0.5  # of the faces of the video that has fewer

_SEED = 1  # of the order of bits
_ONES = 32  # bits of each value that a hash must have, else it is of nearly nothing


@dataclass(frozen=True)
class Match:
    """Two videos with like faces, ``one`` before ``other`` by name. Distances are in bits of 256.

    ``relation``: same file (SHA-256) | same footage (both real, or both forged by one method) | forgery (one is real,
    the other fake) | sibling forgeries (both fake, of different methods). ``told``: the datasets themselves say so.
    ``matching`` of ``faces`` faces of the video that has fewer lie within the distance of a face of the other.
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


@dataclass
class Duplicates:
    """``groups``: same file or same footage; ``forgeries``: all other matches. ``compared``: pairs of faces in the
    index; ``unhashed``: current faces without a hash; ``blank``: faces whose hash says nothing, as of a black frame."""

    groups: list[Group] = field(default_factory=list)
    forgeries: list[Match] = field(default_factory=list)
    videos: int = 0
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
    query = """
        SELECT f.video_id, f.recipe_hash, h.value
        FROM faces f LEFT JOIN (
            FROM features WHERE kind = 'phash'
            QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY version DESC, file) = 1
        ) h USING (sample_id)
        WHERE $recipe IS NULL OR f.recipe = $recipe
        ORDER BY f.recipe_hash, f.video_id, f.frame_index, f.track
    """
    facts = """
        SELECT video_id, dataset, method, name, quality, label, original_video, content
        FROM current_attempts WHERE recipe_hash = ? AND status = 'done'
    """
    found = Duplicates()
    with connect_read(catalog) as db:
        rows = db.sql(query, params={"recipe": recipe}).to_arrow_table()
        known = rows.filter(rows["value"].is_valid())
        found.faces, found.unhashed = len(known), len(rows) - len(known)
        ones = np.bitwise_count(_hashes(known)).sum(axis=1)
        known = known.filter((ones >= _ONES) & (ones <= 256 - _ONES))
        found.blank = found.faces - len(known)
        recipes = known["recipe_hash"].to_numpy()
        pairs_found: dict[tuple[str, str], Match] = {}
        for one in dict.fromkeys(recipes.tolist()):
            mine = known.filter(recipes == one)
            names, codes = np.unique(mine["video_id"].to_numpy().astype(str), return_inverse=True)
            hashes = _hashes(mine)
            videos = {row[0]: row[1:] for row in db.execute(facts, [one]).fetchall()}
            pairs, compared = near_videos(hashes, codes, distance)
            found.compared += compared
            found.videos += len(names)
            for (a, b), evidence in verify(hashes, codes, pairs, distance, share).items():
                relation, told = _relation(videos[names[a]], videos[names[b]], names[a], names[b])
                match = Match(str(names[a]), str(names[b]), relation, told, *evidence)
                pairs_found.setdefault((match.one, match.other), match)
    matches = [match for _, match in sorted(pairs_found.items())]
    same = [match for match in matches if match.relation.startswith("same")]
    found.groups = [
        Group(sorted(videos), [match for match in same if match.one in videos])
        for videos in _components([(match.one, match.other) for match in same])
    ]
    found.forgeries = [match for match in matches if not match.relation.startswith("same")]
    return found


def near_hashes(
    hashes: np.ndarray, owners: np.ndarray, distance: int, orders: int = ORDERS, window: int = WINDOW
) -> tuple[np.ndarray, int]:
    """Pairs of rows within ``distance`` bits whose owners differ, int64 [P,2], and how many pairs were compared.

    ``hashes``: uint8 [N,32]; ``owners``: int [N]. At most ``orders * window * N`` pairs are compared, in memory that
    grows with N and the pairs found. Pairs that stand far apart in every order are not found.
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
    hashes: np.ndarray, codes: np.ndarray, pairs: set[tuple[int, int]], distance: int, share: float
) -> dict[tuple[int, int], tuple[int, int, int, float]]:
    """All faces of each pair of videos compared: pair -> (matching, faces, least, median), see Match.

    Pairs of which fewer than ``share`` of the faces match are left out.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)
    spans = _spans(codes)
    found = {}
    for pair in sorted(pairs):
        one, other = sorted((words[slice(*spans[video])] for video in pair), key=len)
        nearest = np.bitwise_count(one[:, None] ^ other[None]).sum(axis=2, dtype=np.uint16).min(axis=1)
        near = nearest[nearest <= distance]
        if len(near) and len(near) >= share * len(one):
            found[pair] = (len(near), len(one), int(near.min()), float(np.median(near)))
    return found


def _hashes(rows: pa.Table) -> np.ndarray:
    """Column ``value`` as uint8 [N,32]."""
    return np.frombuffer(b"".join(rows["value"].to_pylist()), np.uint8).reshape(len(rows), 32)


def _relation(one: Sequence, other: Sequence, one_id: str, other_id: str) -> tuple[str, bool]:
    """What two videos with like faces are to each other, and whether their datasets say so."""
    dataset, method, name, quality, label, original, content = one
    dataset_, method_, name_, quality_, label_, original_, content_ = other
    if content == content_:
        return "same file", False
    again = (dataset, method, name) == (dataset_, method_, name_) and quality != quality_
    if label != label_:
        real, fake, its = (one_id, other_id, original_) if label == 0 else (other_id, one_id, original)
        return "forgery", its is not None and _clip(its) == _clip(real)
    if label == 0 or (dataset, method) == (dataset_, method_):
        return "same footage", again
    return "sibling forgeries", original is not None and original_ is not None and _clip(original) == _clip(original_)


def _clip(video: str) -> tuple[str, ...]:
    """A video's id without its quality: one clip."""
    dataset, method, _, name = video.split("/")
    return dataset, method, name


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


def _components(pairs: list[tuple]) -> list[set]:
    """What is joined by pairs, in the order of the smallest members."""
    leader: dict = {}

    def find(member):
        while leader.setdefault(member, member) != member:
            leader[member] = leader[leader[member]]
            member = leader[member]
        return member

    for one, other in pairs:
        a, b = sorted((find(one), find(other)))
        leader[b] = a
    groups: dict = {}
    for member in sorted(leader):
        groups.setdefault(find(member), set()).add(member)
    return list(groups.values())

"""Training, validation and test sides of a split between which no person, original clip or file is shared.

People who meet in a video, directly or over others, must stay together; the macro identity_sides deals these groups
out, and the files written here only call it. Where one group is too large for that, a cut is offered: people are put on
three sides and the videos that show people of two sides are lost.
"""

import itertools
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from queries.catalog import connect_read
from queries.errors import SplitError
from queries.sandbox import run_split
from queries.split import read_split

SIDES = ("train", "val", "test")
LEAST = 0.8  # of its share of the videos: what each side must get
EXACT = 10  # so many groups of people are tried in all 3^n ways
_TRIES = 12
_EVALUATIONS = 40_000  # of a try of the search


@dataclass(frozen=True)
class Built:
    """``videos``: of each side; ``lost``: videos that the cut leaves out; ``fewest``: it is proven that no cut loses
    fewer; ``groups``: of people, and ``largest`` the videos of the largest."""

    files: list[Path]
    videos: Mapping[str, int]
    groups: int
    largest: int
    lost: int = 0
    fewest: bool = True


def build(
    catalog: str | Path,
    sql_path: str | Path,
    folder: str | Path,
    name: str | None = None,
    val: float = 0.15,
    test: float = 0.15,
    seed: int = 1,
    cut: bool = False,
    persons: bool = False,
) -> Built:
    """Write ``folder/NAME_{train,val,test}.sql``, which share out the faces of the split file ``sql_path``.

    ``val``, ``test``: shares of the videos, the rest is for training; ``cut``: lose videos where groups are too large;
    ``persons``: people are also told by the clusters of their faces, see queries/persons.py.
    Raises SplitError: the shares are impossible, groups are too large (with what a cut would lose), a file is there.
    """
    shares = (1 - val - test, val, test)
    if min(shares[0], val, test) <= 0:
        raise SplitError(f"--val {val} and --test {test} must be above 0 and leave something for training")
    folder, name = Path(folder), name or Path(sql_path).stem
    files = [folder / f"{name}_{side}.sql" for side in SIDES]
    there = [str(file) for file in files if file.exists()]
    if there:
        raise SplitError(f"{', '.join(there)} exists already: give another --name or --to")
    file = read_split(sql_path)
    answer = run_split(Path(catalog), file.query({}))
    with connect_read(catalog) as db:
        _load(db, answer)
        if persons:
            _know(db, file.path)
        sizes = [n for (n,) in db.execute("SELECT count(*) FROM video_components(whole) GROUP BY component").fetchall()]
        videos = _dealt(db, val, test, seed)
        total, groups, largest = sum(sizes), len(sizes), max(sizes, default=0)
        if all(videos[side] >= LEAST * share * total for side, share in zip(SIDES, shares, strict=True)):
            titled = file.title or name
            texts = {side: _dealing(titled, side, file.path, folder, val, test, seed, persons) for side in SIDES}
            return Built(_write(files, texts), videos, groups, largest)
        people, edges = _edges(db)
    place, lost, fewest = smallest_cut(edges, len(people), shares, seed)
    said = f"the largest of {groups:,} groups of people who meet in videos has {largest:,} of {total:,} videos"
    if place is None:
        raise SplitError(f"{file.path}: {said}, and no cut leaves videos on all three sides")
    videos = {side: sum(n for atoms, n in edges if {place[a] for a in atoms} == {s}) for s, side in enumerate(SIDES)}
    if not cut:
        how = "no cut loses fewer" if fewest else "the fewest that were found"
        left = ", ".join(f"{side} {count:,}" for side, count in videos.items())
        raise SplitError(
            f"{file.path}: {said}, so it cannot be shared out. A cut between people loses {lost:,} videos ({how}) and "
            f"leaves {left}: add --cut"
        )
    listed = {
        side: sorted(p for atom, s in enumerate(place) if SIDES[s] == side for p in people[atom]) for side in SIDES
    }
    titled = file.title or name
    texts = {side: _cutting(titled, side, file.path, folder, listed, lost, total, persons) for side in SIDES}
    return Built(_write(files, texts), videos, groups, largest, lost, fewest)


def smallest_cut(
    edges: Sequence[tuple[tuple[int, ...], int]], n: int, shares: Sequence[float], seed: int = 1, exact: int = EXACT
) -> tuple[list[int] | None, int, bool]:
    """(side of each of ``n`` groups, videos lost, whether that is proven to be the fewest).

    ``edges``: (groups that meet, videos in which they do). A video is kept where all its groups are on one side; each
    side should keep at least LEAST of its share of what is kept: of the ways that come nearest to that (in videos that
    are short of it, as a rule none), the one that loses the fewest. Up to ``exact`` groups all 3^n ways are compared;
    beyond that a seeded local search (single moves and exchanges, several starts) finds a small cut, not surely the
    smallest.
    None instead of sides where one would be empty in every way.
    """
    if not n or not edges:
        return None, 0, True
    width = max(len(atoms) for atoms, _ in edges)
    groups = np.array([[*atoms, *[atoms[0]] * (width - len(atoms))] for atoms, _ in edges])
    weights = np.array([count for _, count in edges], float)
    least = LEAST * np.array(shares)

    def score(ways: np.ndarray) -> np.ndarray:
        """(videos short of the wanted sizes, videos lost) of each row of ``ways``."""
        sides = ways[:, groups]
        together = (sides == sides[:, :, :1]).all(axis=2)
        kept = np.stack([((sides[:, :, 0] == side) & together) @ weights for side in range(3)], axis=1)
        all_kept = kept.sum(axis=1)
        short = np.maximum(0, least * all_kept[:, None] - kept).sum(axis=1)
        short = np.where((kept > 0).all(axis=1), short.round(6), np.inf)
        return np.stack([short, weights.sum() - all_kept], axis=1)

    def first(ways: np.ndarray) -> tuple[tuple[float, float], np.ndarray]:
        scores = score(ways)
        best = np.lexsort((scores[:, 1], scores[:, 0]))[0]
        return tuple(scores[best]), ways[best]

    if n <= exact:
        found = first(np.array(list(itertools.product(range(3), repeat=n)), np.int8))
        return _answer(*found, True)
    found = min(
        (_searched(first, n, shares, random.Random(f"{seed} {start}")) for start in range(_TRIES)),
        key=lambda one: one[0],
    )
    return _answer(*found, False)


def _answer(score: tuple[float, float], way: np.ndarray, proven: bool) -> tuple[list[int] | None, int, bool]:
    return (way.tolist() if np.isfinite(score[0]) else None), round(score[1]), proven


def _searched(first, n: int, shares: Sequence[float], noise: random.Random) -> tuple[tuple[float, float], np.ndarray]:
    """The best neighbour again and again, from a random beginning, until none is better."""
    roots = [share**0.5 for share in shares]  # in a complete graph a share of the videos is the square of one of people
    way = np.array([noise.choices(range(3), roots)[0] for _ in range(n)], np.int8)
    best, left = first(way[None])[0], _EVALUATIONS
    while left > 0:
        near = []
        for i in range(n):
            near += [(i, way[i], i, side) for side in range(3) if side != way[i]]
        pairs = [(i, way[j], j, way[i]) for i in range(n) for j in range(i) if way[i] != way[j]]
        near += noise.sample(pairs, min(len(pairs), 400))
        ways = np.repeat(way[None], len(near), axis=0)
        for row, (i, a, j, b) in enumerate(near):
            ways[row, i], ways[row, j] = a, b
        now, nearest = min(
            (first(part) for part in np.array_split(ways, max(1, len(ways) // 200))), key=lambda one: one[0]
        )
        left -= len(near)
        if now >= best:
            break
        best, way = now, nearest.copy()
    return best, way


def _load(db: duckdb.DuckDBPyConnection, answer) -> None:
    """The videos of a split's answer as the temporary table ``whole``."""
    db.register("answer", answer)
    faceless = "video_id IN (SELECT video_id FROM answer WHERE sample_id IS NULL)"
    columns = "video_id, label, target_id, source_id, visible_id, original_video, content"
    db.execute(
        f"CREATE TEMP TABLE whole AS SELECT DISTINCT {columns} FROM faces SEMI JOIN answer USING (sample_id) "
        + (f"UNION SELECT {columns} FROM faceless WHERE {faceless}" if "video_id" in answer.column_names else "")
    )
    db.unregister("answer")


def _know(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The people of ``whole`` by their faces too. Raises SplitError where no face was clustered."""
    ((known,),) = db.execute("SELECT count(*) FROM whole SEMI JOIN persons USING (video_id, content)").fetchall()
    if not known:
        raise SplitError(
            f"{path}: no video of it has a person: run `deepshard features --kind embedding`, then `deepshard persons`"
        )
    db.execute("CREATE TEMP TABLE named AS FROM with_persons(whole)")
    db.execute("DROP TABLE whole")
    db.execute("ALTER TABLE named RENAME TO whole")


def _dealt(db: duckdb.DuckDBPyConnection, val: float, test: float, seed: int) -> dict[str, int]:
    rows = db.execute(
        "SELECT side, count(DISTINCT video_id) FROM identity_sides(whole, val := $val, test := $test, seed := $seed) "
        "GROUP BY side",
        {"val": val, "test": test, "seed": seed},
    ).fetchall()
    return dict.fromkeys(SIDES, 0) | dict(rows)


def _edges(db: duckdb.DuckDBPyConnection) -> tuple[dict[int, list[str]], list[tuple[tuple[int, ...], int]]]:
    """Groups of people that no cut may part (one clip, one file, known relatives), and how often groups meet."""
    rows = db.execute(
        "SELECT video_id, people_or_clip(target_id, source_id, visible_id, original_video, video_id), "
        "clip(footage(original_video, video_id)), content, coalesce(target_id, source_id, visible_id) "
        "FROM whole ORDER BY ALL"
    ).fetchall()
    parent: dict[str, str] = {}

    def find(node: str) -> str:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    def join(one: str, other: str) -> None:
        one, other = sorted((find(one), find(other)))
        parent[other] = one

    met = {}
    for video, people, clip, content, target in rows:
        met[video] = people
        join(target or people[0], f"~clip {clip}")
        if content:
            join(target or people[0], f"~file {content}")
    known = {person for people in met.values() for person in people}
    for one, other in db.execute("SELECT one, other FROM relatives").fetchall():
        if {one, other} <= known:
            join(one, other)
    number = {root: i for i, root in enumerate(sorted({find(person) for person in known}))}
    people = {i: [] for i in number.values()}
    for person in sorted(known):
        people[number[find(person)]].append(person)
    counts = Counter(tuple(sorted({number[find(person)] for person in names})) for names in met.values())
    return people, sorted(counts.items())


def _dealing(title: str, side: str, base: Path, folder: Path, val: float, test: float, seed: int, persons: bool) -> str:
    known, people = _people(persons)
    head = f"WITH {known}\n" if known else ""
    return f"""-- {title}: {side} side, no person, original clip or file of the other sides
-- Groups of people who meet in videos are dealt out whole, see identity_sides in docs/splits.md.
-- uses: whole = {_relative(base, folder)}
-- param val_share: {val}  (of the videos)
-- param test_share: {test}  (of the videos)
-- param deal: {seed}  (seed: which groups go where)

{head}SELECT sample_id, video_id
FROM identity_sides({people}, val := $val_share, test := $test_share, seed := $deal)
WHERE side = '{side}'
"""


def _cutting(
    title: str, side: str, base: Path, folder: Path, listed: Mapping, lost: int, total: int, persons: bool
) -> str:
    lists = {name: ", ".join("'" + person.replace("'", "''") + "'" for person in listed[name]) for name in SIDES}
    known, people = _people(persons)
    return f"""-- {title}: {side} side, no person, original clip or file of the other sides
-- {lost} of {total} videos show people of two sides and are on none.
-- uses: whole = {_relative(base, folder)}

WITH {f"{known}, " if known else ""}side AS (
    SELECT [{lists[side]}] AS people
)
SELECT sample_id, video_id
FROM {people}, side
WHERE list_has_all(people, people_or_clip(target_id, source_id, visible_id, original_video, video_id))
"""


def _people(persons: bool) -> tuple[str, str]:
    """(a CTE that names people by their faces too, or nothing; the table of the faces to deal out)."""
    return ("known AS (\n    FROM with_persons(whole)\n)", "known") if persons else ("", "whole")


def _relative(base: Path, folder: Path) -> str:
    return Path(os.path.relpath(base.resolve(), folder.resolve())).as_posix()


def _write(files: list[Path], texts: Mapping[str, str]) -> list[Path]:
    for file, text in zip(files, texts.values(), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return files

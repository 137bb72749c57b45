"""Endless sequences of rows, one class for each way to fill batches; an epoch is a stretch of one.

A sequence is made of passes, and a pass shows each row as often as the others (or as its weight says). An epoch that is
shorter than a pass goes on where the one before it stopped, so rows come again only after all others came. Any stretch
is computed without what lies before it, from arrays of a few bytes per row.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from shards import order
from shards.errors import OrderError
from shards.schema import STREAM
from shards.split import Split

_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Key:
    """What an order is a function of, beside the number of the pass."""

    split_hash: str
    seed: int
    block: int = order.BLOCK
    window: int = order.WINDOW

    def shuffle(self, turn: int, n: int, stream: str = "order", unit: int = 1) -> order.Shuffle:
        """Pass ``turn`` over ``n`` units of ``unit`` rows each."""
        block = max(1, self.block // unit) if self.block > 0 else self.block
        return order.shuffle(self.split_hash, self.seed, turn, n, block, self.window, stream)

    def random(self, turn: int, stream: str) -> order.Random:
        return order.Random(self.split_hash, self.seed, turn, stream)


class Sequence:
    """``length``: places of a pass. ``unit``: so many neighbouring places belong together, and no slice may part them.

    ``left_out``: rows of the split that no pass shows.
    """

    unit = 1
    left_out = 0

    def __init__(self, key: Key, length: int) -> None:
        self.key, self.length = key, length

    def rows(self, first: int, last: int) -> np.ndarray:
        """The rows at places ``first`` up to, not including, ``last``: int64 [last - first]."""
        parts = [np.empty(0, np.int64)]
        while first < last and self.length:
            turn, begin = divmod(first, self.length)
            end = min(self.length, begin + last - first)
            parts.append(self._of_pass(turn, begin, end))
            first += end - begin
        return np.concatenate(parts)

    def _of_pass(self, turn: int, begin: int, end: int) -> np.ndarray:
        """Places ``begin`` to ``end`` of pass ``turn``."""
        raise NotImplementedError


class Sequential(Sequence):
    """The rows as the split has them."""

    def _of_pass(self, turn: int, begin: int, end: int) -> np.ndarray:
        return np.arange(begin, end, dtype=np.int64)


class Shuffled(Sequence):
    """The given rows (all ``length`` ones where none are given), each once in a pass."""

    def __init__(self, key: Key, length: int, rows: np.ndarray | None = None, stream: str = "order") -> None:
        super().__init__(key, length)
        self._rows, self._stream = rows, stream

    def _of_pass(self, turn: int, begin: int, end: int) -> np.ndarray:
        units = self.key.shuffle(turn, self.length, self._stream).units(begin, end)
        return units if self._rows is None else self._rows[units].astype(np.int64)


class Alternating(Sequence):
    """Two sequences side by side: places 2i and 2i+1 hold one row of each, so every even slice is half and half.

    A pass is one of the longer sequence; the shorter one is seen in as many passes as that takes. With ``flip`` it is
    drawn for each pair which of the two comes first, and slices may part them; without, the first always does.
    """

    def __init__(self, key: Key, one: Sequence, other: Sequence, flip: bool) -> None:
        super().__init__(key, 2 * max(one.length, other.length))
        self._sides, self._flip, self.unit = (one, other), flip, 1 if flip else 2

    def _of_pass(self, turn: int, begin: int, end: int) -> np.ndarray:
        first, last, before = begin // 2, -(-end // 2), turn * self.length // 2
        pairs = np.stack([side.rows(before + first, before + last) for side in self._sides], axis=1)
        if self._flip:
            flipped = (self.key.random(turn, "flip").numbers((first, last)) >> np.uint64(63)).astype(bool)
            pairs[flipped] = pairs[flipped, ::-1]
        return pairs.ravel()[begin - 2 * first : end - 2 * first]


class AlternatingBatches(Sequence):
    """Whole batches of one sequence and of another in turn: batch t, counted over all passes, is of sequence t mod 2.

    Each sequence is endless and goes on from its batch to its next one, so that none of its rows is left out. A pass is
    as many whole batches as twice the longer sequence fills.
    """

    def __init__(self, key: Key, one: Sequence, other: Sequence, batch: int) -> None:
        super().__init__(key, 2 * max(one.length, other.length) // batch * batch)
        self._sides, self._batch = (one, other), batch

    def rows(self, first: int, last: int) -> np.ndarray:
        batches, within = np.divmod(np.arange(first, last), self._batch)
        rows = np.empty(last - first, np.int64)
        for number, side in enumerate(self._sides):
            mine = batches % 2 == number
            places = (batches // 2 * self._batch + within)[mine]  # of this sequence: neighbours
            if len(places):
                rows[mine] = side.rows(int(places[0]), int(places[-1]) + 1)
        return rows


class Weighted(Sequence):
    """Rows as often as their weights say: systematic sampling, whose start moves by the golden ratio from pass to pass.

    A pass has as many places as there are rows of a weight above 0; a row that is due r times in it comes floor(r) or
    ceil(r) times, and over many passes as often as it is due (Madow 1949, On the theory of systematic sampling II).
    """

    def __init__(self, key: Key, weights: np.ndarray) -> None:
        super().__init__(key, int(np.count_nonzero(weights)))
        self.left_out = len(weights) - self.length
        self._cumulated = np.cumsum(weights, dtype=np.float64)

    def _of_pass(self, turn: int, begin: int, end: int) -> np.ndarray:
        start = float(self.key.random(0, "start").numbers((0, 1))[0] >> np.uint64(11)) / 2**53 + turn * _GOLDEN
        total = self._cumulated[-1]
        due = (self.key.shuffle(turn, self.length, "weighted").units(begin, end) + start % 1) * (total / self.length)
        return np.searchsorted(self._cumulated, np.minimum(due, np.nextafter(total, 0)), "right")


class Videos(Sequence):
    """``per_video`` different frames of one video side by side, and then of another.

    In a pass every video is divided into as many such groups as it has frames for; which frames are left over differs
    from pass to pass. Raises OrderError where a video has too few.
    """

    def __init__(self, key: Key, codes: np.ndarray, per_video: int) -> None:
        self.unit = per_video
        places = _changes(codes)  # where a video begins, if its rows lie together, as they do in a pinned split
        self._by_video: np.ndarray | None = None
        if len(places) != len(np.unique(codes[places])):
            self._by_video = np.argsort(codes, kind="stable").astype(_index_type(len(codes)))
            places = _changes(codes[self._by_video])
        self._begins, frames = places, np.diff(places, append=len(codes))
        short = np.flatnonzero(frames < per_video)
        if len(short):
            raise OrderError(
                f"{len(short)} of {len(places)} videos have fewer than {per_video} faces in the split, the fewest has "
                f"{frames.min()}: ask for fewer per video, or select videos that have enough and pin again"
            )
        self._ends = places + frames
        self._groups = np.cumsum(frames // per_video)
        super().__init__(key, int(self._groups[-1]) * per_video if len(places) else 0)

    def _of_pass(self, turn: int, begin: int, end: int) -> np.ndarray:
        n = self.unit
        first, last = begin // n, -(-end // n)
        groups = self.key.shuffle(turn, self.length // n, "videos", n).units(first, last)
        videos = np.searchsorted(self._groups, groups, "right")
        within = groups - np.where(videos > 0, self._groups[videos - 1], 0)
        random, frames = self.key.random(turn, "frames"), np.empty((len(groups), n), np.int64)
        shuffled: dict[int, np.ndarray] = {}
        for place, (video, group) in enumerate(zip(videos.tolist(), within.tolist(), strict=True)):
            if video not in shuffled:
                low, high = int(self._begins[video]), int(self._ends[video])
                shuffled[video] = low + np.argsort(random.numbers((low, high)), kind="stable")
            frames[place] = shuffled[video][group * n : (group + 1) * n]
        rows = frames.ravel()[begin - n * first : end - n * first]
        return rows if self._by_video is None else self._by_video[rows].astype(np.int64)


class Paired(Sequence):
    """Places 2i and 2i+1 hold a row that has a partner, and its partner; a pass shows every such pair once."""

    unit = 2

    def __init__(self, key: Key, pairs: np.ndarray, rows: int) -> None:
        super().__init__(key, 2 * len(pairs))
        self._pairs, self.left_out = pairs, rows - len(np.unique(pairs))

    def _of_pass(self, turn: int, begin: int, end: int) -> np.ndarray:
        first, last = begin // 2, -(-end // 2)
        picked = self._pairs[self.key.shuffle(turn, len(self._pairs), "pairs", 2).units(first, last)]
        return picked.ravel()[begin - 2 * first : end - 2 * first].astype(np.int64)


def sequential(split: Split, key: Key) -> Sequence:
    return Sequential(key, len(split.labels))


def shuffled(split: Split, key: Key) -> Sequence:
    return Shuffled(key, len(split.labels))


def balanced(split: Split, key: Key) -> Sequence:
    """Half real, half fake. Raises OrderError if a label is missing, or if it may not be read."""
    _labels_may_be_read(split, "balanced")
    real, fake = (_where(split.labels == label) for label in (0, 1))
    if not len(real) or not len(fake):
        raise OrderError(
            f"a balanced order needs both labels, split {split.name} has {len(real)} real and {len(fake)} fake "
            "samples: use a shuffled order or a split with both"
        )
    sides = [Shuffled(key, len(rows), rows, f"label {label}") for label, rows in enumerate((real, fake))]
    return Alternating(key, *sides, flip=True)


def weighted(split: Split, key: Key) -> Sequence:
    """As often as the split's weights say. Raises OrderError if they are all 0."""
    if len(split.weights) and not split.weights.any():
        raise OrderError(f"all weights of split {split.name} are 0: select a weight above 0 for the samples to be seen")
    return Weighted(key, split.weights)


def videos(split: Split, key: Key, per_video: int) -> Sequence:
    """``per_video`` frames of a video side by side."""
    if per_video < 1:
        raise OrderError(f"per_video is {per_video}: it counts from 1")
    return Videos(key, split.codes("video_id"), per_video)


def paired(split: Split, key: Key) -> Sequence:
    """A sample and its partner side by side. Raises OrderError unless partners are samples of the split too."""
    _labels_may_be_read(split, "paired")  # who has a partner is a fake
    partners = split.table["partner_id"]
    with_partner = _where(pc.is_valid(partners).to_numpy())
    if not len(with_partner):
        raise OrderError(f"no sample of split {split.name} has a partner: select partner_id beside sample_id")
    places = pc.index_in(partners.take(with_partner), value_set=split.table["sample_id"])
    if places.null_count:
        missing = int(np.flatnonzero(places.is_null().to_numpy())[0])
        raise OrderError(
            f"{places.null_count} of {len(with_partner)} partners are not samples of split {split.name}, for example "
            f"{partners[int(with_partner[missing])]}: select them too; a detector that needs partners as pixels alone "
            "(needs = ('image', 'partner')) does without"
        )
    return Paired(key, np.stack((with_partner, places.to_numpy()), axis=1), len(split.labels))


def domains(split: Split, key: Key) -> Sequence:
    """A sample of the source domain and one of the target side by side. Raises OrderError unless each has a role."""
    codes, names = split.words("role")
    rows = {role: _where(codes == names.index(role)) if role in names else [] for role in ("source", "target")}
    without = len(codes) - sum(map(len, rows.values()))
    if without or not all(map(len, rows.values())):
        raise OrderError(
            f"an order of two domains needs samples of both and none without a role; split {split.name} has "
            f"{len(rows['source'])} of the source, {len(rows['target'])} of the target and {without} without: select "
            "'source' or 'target' AS role"
        )
    sides = [Shuffled(key, len(of_role), of_role, f"domain {role}") for role, of_role in rows.items()]
    return Alternating(key, *sides, flip=False)


def alternate(split: Split, key: Key, batch: int) -> Sequence:
    """Batches of two streams in turn, by the streams' names. Raises OrderError unless each sample is of one of two."""
    counts = {}
    if STREAM.name in split.table.column_names:
        codes, names = split.words(STREAM.name)
        rows = {name: _where(codes == names.index(name)) for name in sorted(names)}
        counts = {name: len(of_stream) for name, of_stream in rows.items() if len(of_stream)}
    without = len(split.labels) - sum(counts.values())
    if without or len(counts) != 2:
        listed = ", ".join(f"{count} of {name}" for name, count in counts.items()) or "none of any"
        raise OrderError(
            f"batches alternate between two streams, and every sample must be of one; split {split.name} has {listed}"
            f" and {without} without: select a word for each set, such as 'original' and 'added', AS stream, and pin "
            "again"
        )
    sides = [Shuffled(key, counts[name], rows[name], f"stream {name}") for name in counts]
    return AlternatingBatches(key, *sides, batch)


KINDS = {
    "shuffled": shuffled,
    "balanced": balanced,
    "weighted": weighted,
    "videos": videos,
    "paired": paired,
    "domains": domains,
    "alternate": alternate,
    "sequential": sequential,
}


def target_rows(split: Split) -> np.ndarray:
    """Which rows are of a target domain, whose labels nothing that trains may read: bool [n]."""
    roles = split.vocabulary("role")
    if "target" not in roles:
        return np.zeros(len(split.labels), bool)
    return split.codes("role") == roles.index("target")


def _labels_may_be_read(split: Split, kind: str) -> None:
    if target_rows(split).any():
        raise OrderError(
            f"split {split.name} has samples of a target domain, whose labels training must not read, and a {kind} "
            "order would read them: use domains or shuffled"
        )


def _where(mask: np.ndarray) -> np.ndarray:
    """The rows where ``mask`` holds, in as few bytes as they take."""
    return np.flatnonzero(mask).astype(_index_type(len(mask)))


def _changes(codes: np.ndarray) -> np.ndarray:
    """The places at which another value begins, 0 among them."""
    return np.concatenate((np.zeros(min(1, len(codes)), np.int64), np.flatnonzero(codes[1:] != codes[:-1]) + 1))


def _index_type(n: int) -> type:
    return np.int32 if n < 2**31 else np.int64

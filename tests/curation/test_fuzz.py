"""Damaged videos by the dozen: no damage ends a run, and every video ends with faces or with a reason.

With DEEPSHARD_SOAK=1 there are hundreds, and the counts are printed.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import curation.run
from curation.recipe import Recipe
from curation.run import curate
from queries.catalog import connect_read
from tests.curation.people import encode, walking
from tests.curation.test_bad_files import attempts, check_rows, scan
from tests.soak import scale

CONTAINERS = {
    "h264.mp4": "libx264",
    "h264.mkv": "libx264",
    "mpeg4.avi": "mpeg4",
    "vp9.webm": "libvpx-vp9",
    "hevc.mp4": "libx265",
    "frames.gif": "gif",
}
HEAD = 4096  # bytes of a file that hold what its reader goes by; MP4 has it at the end


def flip_bits(data: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(0, len(data), rng.integers(1, 60)):
        data[place] ^= 1 << int(rng.integers(8))


def truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(len(data))) :]


def zero(data: bytearray, rng: np.random.Generator) -> None:
    start, size = _range(data, rng)
    data[start : start + size] = bytes(len(data[start : start + size]))


def scramble(data: bytearray, rng: np.random.Generator) -> None:
    start, size = _range(data, rng)
    data[start : start + size] = rng.bytes(len(data[start : start + size]))


def duplicate(data: bytearray, rng: np.random.Generator) -> None:
    start, size = _range(data, rng)
    data[start:start] = data[start : start + size]


def drop(data: bytearray, rng: np.random.Generator) -> None:
    start, size = _range(data, rng)
    del data[start : start + size]


def rewrite_head(data: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(0, min(HEAD, len(data)), rng.integers(1, 12)):
        data[place] = int(rng.integers(256))


def rewrite_tail(data: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(max(0, len(data) - HEAD), len(data), rng.integers(1, 12)):
        data[place] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))


def _range(data: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    size = int(rng.integers(1, max(2, len(data) // int(rng.choice([4, 32, 256])))))
    return int(rng.integers(len(data))), size


DAMAGES: list[Callable[[bytearray, np.random.Generator], None]] = [
    *(flip_bits, truncate, zero, scramble, duplicate, drop, rewrite_head, rewrite_tail)
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return {name: encode(folder / name, walking(8), codec=codec).read_bytes() for name, codec in CONTAINERS.items()}


def write_mutants(folder: Path, whole: dict[str, bytes], count: int, seed: int = 0) -> None:
    """``count`` files, the i-th a function of the whole clips, ``seed`` and i; sometimes twice or thrice damaged."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = list(whole)[number % len(whole)]
        data = bytearray(whole[name])
        names = []
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
            if data:
                damage(data, rng)
                names.append(damage.__name__)
        (folder / f"{number:05d} {' '.join(names)} {name}").write_bytes(data)


@pytest.mark.soak
def test_damaged_videos_end_with_faces_or_a_reason(whole, tmp_path, monkeypatch):
    root = tmp_path / "videos"
    root.mkdir()
    count = scale(42, 600)
    write_mutants(root, whole, count)
    for name, data in whole.items():
        (root / f"whole {name}").write_bytes(data)
    lost: Counter[str] = Counter()
    second_try = curation.run.second_try

    def counted(outcome):
        if outcome.kind != "done":
            lost[outcome.kind] += 1
            print(outcome.kind, outcome.task.video["path"], outcome.task.decoder or "first try", outcome.detail)
        return second_try(outcome)

    monkeypatch.setattr(curation.run, "second_try", counted)
    catalog, store = scan(root, tmp_path)
    report = curate(catalog, store, Recipe("fuzz", "evenly 3", "dlib", size=64), workers=2, stall_s=20)
    rows = attempts(catalog)
    check_rows(rows, store, root)
    assert report.videos == len(rows) == count + len(whole)
    assert Counter(row["status"] for row in rows.values()) == Counter(report.counts)
    assert lost["raised"] == 0  # what the code expects it turns into reasons
    assert not any("failed unexpectedly" in (row["reason"] or "") for row in rows.values())
    with connect_read(catalog) as db:
        [faces] = db.execute("SELECT count(*) FROM samples").fetchone()
    assert faces == report.faces == sum(row["faces"] for row in rows.values())
    assert all(row["faces"] == 3 for name, row in rows.items() if name.startswith("whole"))
    print(f"{count} mutants and {len(whole)} whole clips: {report.counts}, {faces} faces, lost workers: {dict(lost)}")

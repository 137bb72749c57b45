"""How well the order of training shuffles beside a full shuffle, and what it costs to begin and to hold.

quality   an FF++-like split (five sets of 720 videos, 32 faces each) and a DFDC-like one (100,000 videos of 10 faces,
          one in six real), sorted as splits are: by sample id, whose beginning is a hash of the video. Batches of 32,
          for several block and window sizes, the split's own order and a full shuffle (NumPy's permutation): different
          videos per batch, most faces of one video in a batch, standard deviation of the number of fakes, mean and
          longest run of one label, and the distance in the split of two faces that follow one another, as a share of
          what is expected of a full shuffle (a third of the split).
sampler   splits of 1, 10 and 100 million rows, mapped from a file as a pinned split is: seconds to the first batch,
          and to the first one of a resumed run; what the trainer's private memory grows by until then, in bytes per
          row, and how many Python objects it makes; then CPU microseconds per sample of reading on. For every order.

Each measurement of the sampler runs in a process of its own. The last line of the output is one JSON object.

    python benchmarks/shuffle.py [--rows N N ...] [--folder FOLDER]
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.apart import apart  # noqa: E402
from shards import order  # noqa: E402
from shards.sampler import GlobalBatchSampler  # noqa: E402
from shards.split import Split  # noqa: E402

HASH = "5f" * 32
BATCH = 32
SETTINGS = ((32, 16), (32, 64), (order.BLOCK, order.WINDOW), (32, 1024), (128, 256))
KINDS = {"shuffled": {}, "balanced": {}, "weighted": {}, "videos": {"per_video": 4}, "domains": {}}


def split_of(videos: int, frames: int, real_share: float) -> tuple[np.ndarray, np.ndarray]:
    """(video, label) of each row. The hash in front of a sample id puts videos of all sets in random order."""
    labels = np.random.default_rng(0).permutation(np.arange(videos) >= videos * real_share)
    return np.repeat(np.arange(videos), frames), np.repeat(labels, frames)


def quality(rows: np.ndarray, video: np.ndarray, label: np.ndarray) -> dict[str, float]:
    batches = rows[: len(rows) // BATCH * BATCH].reshape(-1, BATCH)
    sorted_videos = np.sort(video[batches], axis=1)
    different = 1 + (np.diff(sorted_videos, axis=1) != 0).sum(1)
    run, most = np.ones(len(batches), int), np.ones(len(batches), int)
    for place in range(1, BATCH):
        run = np.where(sorted_videos[:, place] == sorted_videos[:, place - 1], run + 1, 1)
        most = np.maximum(most, run)
    ends = np.flatnonzero(np.diff(label[rows].astype(np.int8)))
    runs = np.diff(ends)
    return {
        "videos_per_batch": round(float(different.mean()), 2),
        "fewest_videos": int(different.min()),
        "most_of_one_video": int(most.max()),
        "fakes_std": round(float(label[batches].sum(1).std()), 3),
        "label_run_mean": round(float(runs.mean()), 2) if len(runs) else float(len(rows)),
        "label_run_longest": int(runs.max()) if len(runs) else len(rows),
        "distance": round(float(np.abs(np.diff(rows)).mean() / (len(rows) / 3)), 3),
    }


def compare() -> dict[str, dict[str, dict[str, float]]]:
    found = {}
    for name, shape in (("ffpp", (5 * 720, 32, 0.2)), ("dfdc", (100_000, 10, 1 / 6))):
        video, label = split_of(*shape)
        n = len(video)
        orders = {"as pinned": np.arange(n), "full shuffle": np.random.default_rng(1).permutation(n)}
        orders |= {f"block {b}, window {w}": order.order(HASH, 0, 0, n, b, w) for b, w in SETTINGS}
        found[name] = {how: quality(rows, video, label) for how, rows in orders.items()}
        for how, figures in found[name].items():
            print(f"{name}, {how}: {figures}", flush=True)
    return found


def write_rows(path: Path, n: int) -> None:
    """The columns that orders look at, as a pinned split has them, written a piece at a time."""
    fields = [("label", pa.int8()), ("weight", pa.float32())]
    fields += [(name, pa.dictionary(pa.int32(), pa.string())) for name in ("video_id", "role")]
    schema, frames = pa.schema(fields), 10
    names = pa.array([f"dataset/method/c23/{number:09d}" for number in range(-(-n // frames))])
    rng = np.random.default_rng(0)
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    with pa.ipc.new_file(path, schema, options=options) as writer:
        video = np.arange(n) // frames
        columns = [pa.array((rng.random(len(names)) < 0.7).astype(np.int8)[video])]
        columns.append(pa.array((1 + video % 3).astype(np.float32)))
        columns.append(pa.DictionaryArray.from_arrays(video.astype(np.int32), names))
        columns.append(pa.DictionaryArray.from_arrays((video % 3 == 0).astype(np.int32), ["source", "target"]))
        writer.write_batch(pa.record_batch(columns, schema=schema))


def open_rows(path: Path, kind: str) -> Split:
    """The split, which is of one domain unless its order is one of two."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    if kind != "domains":
        table = table.set_column(3, "role", pa.nulls(len(table), table.schema.field("role").type))
    return Split(path, path.parent, table, {"name": "rows", "hash": HASH, "faceless": [], "recipes": []}, None)


def private_bytes() -> int:
    """Memory of this process that no other can share: mapped pages of the split are not in it."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Private_Dirty:", "Swap:")))


def measure(path: Path, kind: str, answer) -> None:
    split = open_rows(path, kind)
    before, objects = private_bytes(), sys.getallocatedblocks()
    began, cpu = time.perf_counter(), time.process_time()
    sampler = GlobalBatchSampler(split, BATCH, kind=kind, **KINDS[kind])
    next(iter(sampler))
    first, cpu = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    sampler.set_epoch(3, sampler.epoch_samples // 2 // BATCH * BATCH)
    batches = iter(sampler)
    next(batches)
    resumed = time.perf_counter() - began
    held, objects = private_bytes() - before, sys.getallocatedblocks() - objects
    began, read = time.process_time(), 0
    for _ in zip(range(20_000), batches, strict=False):
        read += BATCH
    answer.send(
        {
            "first_batch_s": round(first, 3),
            "first_batch_cpu_s": round(cpu, 3),
            "resumed_batch_s": round(resumed, 3),
            "bytes_per_row": round(held / len(split), 2),
            "python_objects": objects,
            "us_per_sample": round((time.process_time() - began) / read * 1e6, 2),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[10**6, 10**7, 10**8])
    parser.add_argument(
        "--folder", type=Path, default=None, help="for the rows, 13 bytes each; default: a temporary one"
    )
    options = parser.parse_args()
    result = {"quality": compare(), "sampler": {}}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for n in options.rows:
            path = Path(folder, str(n))
            write_rows(path, n)
            for kind in KINDS:
                figures = result["sampler"].setdefault(str(n), {})[kind] = apart(measure, path, kind)
                print(f"{n} rows, {kind}: {figures}", flush=True)
            path.unlink()
    print(json.dumps(result))


if __name__ == "__main__":
    main()

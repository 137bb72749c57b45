"""What a split costs to begin and to hold, however long it is: seconds to the first batch, memory of eight workers.

Manifests with every column of a pinned split and so many rows are made; their rows point, over and over, to the faces
of a small store, so that batches are real. In a process of its own for each:

start   from opening the manifest to the first batch, imports apart: read in this process (CPU seconds, too), and by
        two workers whose server has imported what they need
memory  of eight workers together after some batches each: private pages (USS) and their share of common ones (PSS)

The last line of the output is one JSON object.

    python benchmarks/stream_scale.py [--rows N N ...] [--workers 8] [--folder FOLDER]
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.apart import apart  # noqa: E402
from shards import schema  # noqa: E402
from shards.loader import loader  # noqa: E402
from shards.sampler import GlobalBatchSampler  # noqa: E402
from shards.split import Split  # noqa: E402

BATCH = 64
PER_VIDEO = 32
BATCHES = 16  # of each worker, before its memory is looked at


def long_manifest(small: Path, rows: int, path: Path) -> Path:
    """A manifest of so many rows with the byte ranges of a small one's, repeated."""
    with pa.memory_map(str(small)) as file:
        table = pa.ipc.open_file(file).read_all()
    meta = json.loads(table.schema.metadata[b"deepshard"])
    meta |= {"name": f"rows{rows}", "hash": f"{rows:064x}"}
    names = pa.array(f"benchmark/original/native/{number:012d}" for number in range(-(-rows // PER_VIDEO)))
    numbers = np.arange(rows)
    repeated = table.combine_chunks().to_batches()[0].take(pa.array(numbers % len(table)))
    videos = pa.DictionaryArray.from_arrays((numbers // PER_VIDEO).astype(np.int32), names)
    digits = np.char.zfill(numbers.astype("S12"), 12)
    offsets = np.arange(0, 12 * (rows + 1), 12, dtype=np.int32)
    ids = pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(digits.tobytes())])
    columns = {name: repeated[name] for name in schema.MANIFEST.names} | {"sample_id": ids, "video_id": videos}
    kept = schema.MANIFEST.with_metadata({b"deepshard": json.dumps(meta).encode()})
    with pa.ipc.new_file(path, kept) as writer:
        writer.write_batch(pa.record_batch(list(columns.values()), schema=kept))
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # pages that are not yet on disk count as private to who maps them
    return path


def start(manifest: Path, shards: Path, workers: int, answer) -> None:
    if workers:  # the server starts and imports
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch", "cv2", "pyarrow", "shards.dataset"])
        process = context.Process(target=print, args=("",), kwargs={"end": ""})
        process.start()
        process.join()
    began, cpu = time.perf_counter(), time.process_time()
    split = Split.open(manifest, shards)
    batches = iter(loader(split.dataset(), GlobalBatchSampler(split, BATCH), workers=workers))
    next(batches)
    answer.send([round(time.perf_counter() - began, 3), round(time.process_time() - cpu, 3)])


def memory(manifest: Path, shards: Path, workers: int, answer) -> None:
    split = Split.open(manifest, shards)
    data = loader(split.dataset(), GlobalBatchSampler(split, BATCH), workers=workers)
    for _ in islice(data, BATCHES * workers):
        pass
    readers = [psutil.Process(worker.pid).memory_full_info() for worker in data._iterator._workers]
    answer.send({"uss": sum(reader.uss for reader in readers), "pss": sum(reader.pss for reader in readers)})


def main() -> None:
    from tests.fabricate import make_store

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**6, 10**7])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="for the manifests, 140 bytes a row; default: a temporary one")
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        store = make_store(Path(folder) / "store", videos=16, faces_per_video=32, size=256)
        held = {}
        for rows in args.rows:
            manifest = long_manifest(store.manifest, rows, Path(folder) / f"{rows}.arrow")
            of_this = {}
            for n in (0, 2):
                of_this[f"start_{n}_workers_s"], cpu = apart(start, manifest, store.shards_dir, n)
                of_this |= {} if n else {"start_cpu_s": cpu}
            held[rows] = apart(memory, manifest, store.shards_dir, args.workers)
            of_this |= {f"{kind}_mb": round(size / 1e6, 1) for kind, size in held[rows].items()}
            figures[str(rows)] = of_this
            print(f"{rows} rows: {of_this}", flush=True)
            manifest.unlink()
        few, many = min(args.rows), max(args.rows)
        for kind in ("uss", "pss"):
            grown = (held[many][kind] - held[few][kind]) / max(1, many - few) / args.workers
            figures[f"{kind}_bytes_per_sample_and_worker"] = round(grown, 4)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

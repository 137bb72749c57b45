"""How long somebody waits for `deepshard browse` on a catalog of ten million faces, and what it takes of the memory.

first       from the start of the server's process to the last byte of the first picture over HTTP: the page, the
            answer to the query that it asks, the picture. ``open_s``: the same of a server that is running;
            ``cold_s``: and with the catalog dropped from memory; ``page_s``: without the page around the answer.
next        the second page of the answer, and one far down
counts      all counts and distributions of the ten million
filtered    the first page of a filtered query, in another order
memory      the largest sum of the resident sizes of server and children, looked at 50 times a second; shared pages
            count for each of them

The catalog is that of benchmarks/catalog.py, whose tars hold nothing. So the faces of the pages that are asked for get
tars of their own with real PNGs at their places, and a copy of the catalog their sizes and checksums. The catalog's
pages are dropped from memory before each start. Medians over the starts; the last line is one JSON object.

    python benchmarks/browse.py [--faces N] [--videos N] [--starts N] [--folder FOLDER]
"""

import argparse
import http.client
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
import xxhash  # noqa: E402

from benchmarks.catalog import forget  # noqa: E402
from queries.catalog import connect_read, connect_write  # noqa: E402

FAR = 6000  # rows down the answer
FILTERED = "dataset=ffpp&method=Face2Face&quality=c23&order=least+sharp"


def prepare(folder: Path, own: Path, faces: int, videos: int) -> None:
    """``own`` gets a copy of the folder's catalog, which is made where it is missing, and pictures of some faces."""
    store, catalog = folder / "store", folder / "catalog.duckdb"
    if not store.exists():
        print(f"a store of {faces:,} faces in {videos:,} videos", flush=True)
        in_process_of_catalog("--make", store, faces, videos)
    if not catalog.exists():
        in_process_of_catalog("--ingest", store, catalog)
    (own / "store/shards").mkdir(parents=True)
    shutil.copy(catalog, own / "catalog.duckdb")
    asked = ["SELECT sample_id FROM faces ORDER BY draw_key LIMIT 180"]
    asked.append(f"SELECT sample_id FROM faces ORDER BY draw_key LIMIT 60 OFFSET {FAR}")
    asked.append(
        "SELECT sample_id FROM faces WHERE dataset = 'ffpp' AND method = 'Face2Face' AND quality = 'c23' "
        "ORDER BY sharpness, sample_id LIMIT 60"
    )
    with connect_write(own / "catalog.duckdb"):  # views of another version are renewed
        pass
    with connect_read(own / "catalog.duckdb") as db:
        places = [
            row
            for query in asked
            for row in db.execute(
                'SELECT sample_id, attempt, frame_index, track, shard, "offset" FROM faces '
                f"WHERE sample_id IN ({query})"
            ).fetchall()
        ]
    pictures = [_picture(seed) for seed in range(16)]
    rows = []
    for number, (_, attempt, frame, track, shard, offset) in enumerate(places):
        data = pictures[number % len(pictures)]
        path = own / "store/shards" / f"{shard}.tar"
        with open(path, "r+b" if path.exists() else "w+b") as tar:
            tar.seek(offset)
            tar.write(data)
        rows.append((len(data), xxhash.xxh3_64_intdigest(data), attempt, frame, track))
    with connect_write(own / "catalog.duckdb") as db:
        db.executemany(
            "UPDATE sample_rows SET image_size = ?, image_xxh3 = ? WHERE attempt = ? AND frame_index = ? AND track = ?",
            rows,
        )


def in_process_of_catalog(*words: object) -> None:
    """What benchmarks/catalog.py does when it is called with ``words``."""
    command = [sys.executable, str(ROOT / "benchmarks/catalog.py"), *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _picture(seed: int) -> bytes:
    """A PNG of about the size of a face's: smooth colours with noise, 256x256."""
    noise = np.random.default_rng(seed)
    coarse = noise.integers(0, 255, (8, 8, 3)).astype(np.uint8)
    pixels = cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    pixels += noise.integers(-2, 3, pixels.shape, dtype=np.int16)
    return cv2.imencode(".png", np.clip(pixels, 0, 255).astype(np.uint8))[1].tobytes()


class Memory:
    """The largest sum of resident sizes of a process and its children since `begin`, in MiB."""

    def __init__(self, pid: int) -> None:
        self._process, self._ended = psutil.Process(pid), threading.Event()
        self.whole = self.server = 0.0
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            sizes = []
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    sizes.append(process.memory_info().rss / 2**20)
            except psutil.Error:  # one of them ended meanwhile
                continue
            self.whole, self.server = max(self.whole, sum(sizes)), max(self.server, sizes[0])

    def end(self) -> None:
        self._ended.set()
        self._watch.join()


@contextmanager
def server(catalog: Path, store: Path) -> Iterator[tuple[str, float, Memory]]:
    """A server: its host and port, when its process was started, its memory."""
    words = ["browse", "--catalog", catalog, "--store", store, "--port", "0"]
    began = time.perf_counter()
    running = subprocess.Popen(
        [sys.executable, "-m", "deepshard", *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    memory = Memory(running.pid)
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        if not line.startswith("open "):
            raise SystemExit("the server did not start")
        yield urlsplit(line.split()[1]).netloc, began, memory
    finally:
        memory.end()
        running.terminate()
        running.wait()


def get(host: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(host, timeout=600)
    connection.request("GET", path)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    if answer.status != 200 or b'role="alert"' in data:
        raise SystemExit(f"{path}: {answer.status}\n{data.decode(errors='replace')}")
    return data


def page_with_picture(host: str, path: str) -> None:
    """A page of an answer, and the first picture in it."""
    text = get(host, path).decode()
    address = re.search(r'src="(/picture/[^"]+)"', text)
    if address is None or get(host, address[1])[1:4] != b"PNG":
        raise SystemExit(f"{path} has no picture")


def opened(host: str) -> float:
    """What somebody waits who opens the address of a running server."""
    began = time.perf_counter()
    get(host, "/")
    page_with_picture(host, "/answer")
    return time.perf_counter() - began


def timed(host: str, path: str) -> float:
    began = time.perf_counter()
    page_with_picture(host, path)
    return time.perf_counter() - began


def measure(catalog: Path, store: Path) -> dict[str, float]:
    """One start."""
    forget(catalog)
    with server(catalog, store) as (host, began, memory):
        get(host, "/")
        page_with_picture(host, "/answer")
        found = {"first_s": time.perf_counter() - began}
        found["open_s"] = opened(host)
        forget(catalog)
        found["cold_s"] = opened(host)
        found["page_s"] = timed(host, "/answer")
        found["next_s"] = timed(host, "/answer?offset=60")
        found["far_s"] = timed(host, f"/answer?offset={FAR}")
        found["filtered_s"] = timed(host, f"/answer?{FILTERED}")
        found["seen_mb"] = memory.whole
        counting = time.perf_counter()
        get(host, "/counts")
        found["counts_s"] = time.perf_counter() - counting
        found |= {"peak_mb": memory.whole, "server_mb": memory.server}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=10_000_000)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, help="where to work; a store and a catalog that are there are used again"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        folder = given.folder or Path(aside)
        own = Path(tempfile.mkdtemp(prefix="browse-", dir=folder))
        try:
            prepare(folder, own, given.faces, given.videos)
            starts = []
            for _ in range(given.starts):
                starts.append(measure(own / "catalog.duckdb", own / "store"))
                print("  ".join(f"{name} {value:,.2f}" for name, value in starts[-1].items()), flush=True)
        finally:
            shutil.rmtree(own)
    found = {name: round(statistics.median(one[name] for one in starts), 3) for name in starts[0]}
    most = {name: round(max(one[name] for one in starts), 1) for name in ("peak_mb", "server_mb")}
    print(json.dumps({"faces": given.faces, "starts": given.starts} | found | most))


if __name__ == "__main__":
    main()

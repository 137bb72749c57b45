"""A folder behind a real HTTP server with range requests: it counts what it gives, and fails as it is told.

For ``huggingface_hub`` with its endpoint here it is also a Hub with one repository.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HUB = "somebody/faces"  # the dataset's repository as which the folder is served too, its files under shards/
FAULTS = ("cut", "flip", "short", "429", "500", "404", "whole", "hang up")


@dataclass
class Served:
    """``bytes`` and ``requests`` that were answered with data, by kind of file (tar, parquet). ``faults``: what to do
    to the next requests for tars, one each; ``always``: to all of them. ``gap_s``: the least time between two requests,
    as a hub that limits them; ``rate``: bytes a second of all connections
    together."""

    url: str = ""
    bytes: dict[str, int] = field(default_factory=lambda: {"tar": 0, "parquet": 0})
    requests: dict[str, int] = field(default_factory=lambda: {"tar": 0, "parquet": 0})
    faults: list[str] = field(default_factory=list)
    always: str | None = None
    retry_after: str = "0"
    gap_s: float = 0
    rate: float = 0
    down: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    next_s: float = 0
    line_free_s: float = 0

    def clear(self) -> None:
        for counts in (self.bytes, self.requests):
            counts.update(tar=0, parquet=0)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """``folder`` at ``http://127.0.0.1:PORT``."""
    told = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def hub(self, body: object) -> None:
            """What the Hub's API tells of a repository and of its files."""
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if "/tree/" in self.path:
                sizes = {f"shards/{file.name}": file.stat().st_size for file in folder.iterdir()}
                self.hub([{"type": "file", "path": at, "size": size, "oid": "0" * 40} for at, size in sizes.items()])
                return
            if self.path.startswith("/api/"):
                self.hub({"_id": "0", "id": HUB, "sha": "0" * 40, "siblings": [], "tags": []})
                return
            file = folder / self.path.removeprefix(f"/datasets/{HUB}/resolve/main/shards/").lstrip("/")
            kind = file.suffix.lstrip(".")
            with told.lock:
                fault = told.always if kind == "tar" else None
                if kind == "tar" and told.faults:
                    fault = told.faults.pop(0)
                turn = max(told.next_s, time.monotonic())
                told.next_s = turn + told.gap_s
            time.sleep(max(0.0, turn - time.monotonic()))
            if fault in ("429", "500", "404") or not file.is_file():
                self.send_response(int(fault) if fault else 404)
                if fault == "429":
                    self.send_header("Retry-After", told.retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fault == "hang up" or told.down:
                self.close_connection = True
                return
            size = file.stat().st_size
            begin, end, status = 0, size, 200
            if (asked := self.headers.get("Range")) and fault != "whole":
                first, _, last = asked.removeprefix("bytes=").partition("-")
                begin, end, status = int(first), min(int(last or size - 1), size - 1) + 1, 206
            with file.open("rb") as stream:
                stream.seek(begin)
                data = stream.read(end - begin)
            if fault == "flip":
                data = bytes(byte ^ (at % 1000 == 999 or at == len(data) // 2) for at, byte in enumerate(data))
            if fault == "short":
                data = data[: len(data) // 2]
            with told.lock:
                told.requests[kind] += 1
                told.bytes[kind] += len(data)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{begin + len(data) - 1}/{size}")
            self.end_headers()
            if fault == "cut":
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                return
            if told.rate:
                with told.lock:
                    done = told.line_free_s = max(told.line_free_s, time.monotonic()) + len(data) / told.rate
                time.sleep(max(0.0, done - time.monotonic()))
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        told.down = True  # connections that are open stay so
        server.shutdown()
        server.server_close()
        thread.join()

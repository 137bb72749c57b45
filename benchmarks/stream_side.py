"""One side of the streaming benchmark in a process of its own, in whatever environment it needs.

Reads commands as lines of JSON from its input and answers each by one line: ``write`` makes the side's own form of the
faces; ``open`` starts its loader on a part; ``warm`` goes on reading for some seconds; ``cold`` reads one epoch, or
some seconds of it, from its beginning; ``bytes`` is ``warm`` without decoding, in this process. Every delivered tensor
is hashed and compared, within the time that is measured.

    python -m benchmarks.stream_side SIDE CODEC FACES FOLDER WORKERS BATCH
"""

import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2  # noqa: F401, before anything that loads a zlib of its own
import psutil
import torch
import xxhash

from benchmarks.stream_faces import Faces

_AHEAD = 2  # batches that each worker prepares ahead
_LEAST = 6  # batches in a measurement, however slow the side


class Side:
    def __init__(self, name: str, codec: str, faces: Path, folder: Path, workers: int, batch: int) -> None:
        self.module = importlib.import_module(f"benchmarks.peers.{name}")
        self.faces, self.folder, self.workers, self.batch = Faces(faces, codec), folder, workers, batch
        self._hashes = self.faces.pixel_hashes
        self._loader = self._stream = None

    def write(self) -> dict:
        if hasattr(self.module, "write") and not (self.folder / "written").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            place = self.folder / "data"
            place.mkdir()
            self.module.write(self.faces, place)
            (self.folder / "written").touch()
        return {}

    def open(self, part: str) -> dict:
        self._part, self._loader, self._stream = part, None, None
        self._wanted = set(self.faces.part(part).tolist())
        self._loader = self.module.loader(self.faces, self.folder / "data", part, self.workers, self.batch)
        self._stream = self._endless()
        for pixels, numbers in islice(self._stream, _AHEAD * max(1, self.workers)):
            self._check(pixels, numbers)
        return {}

    def _endless(self) -> Iterator:
        while True:
            yield from self._loader

    def warm(self, seconds: float) -> dict:
        for pixels, numbers in islice(self._stream, _AHEAD * max(1, self.workers) + 1):  # what was made ahead
            self._check(pixels, numbers)
        return self._measure(self._stream, seconds)

    def cold(self, seconds: float) -> dict:
        self._stream = self._endless()  # the one before is broken off
        return self._measure(iter(self._loader), seconds)

    def bytes(self, part: str, seconds: float) -> dict:
        wanted = set(self.faces.part(part).tolist())
        sizes = self.faces.table["size"].to_numpy()
        stream = self.module.raw_bytes(self.faces, self.folder / "data", part, self.batch)
        next(stream)
        begin, count, many = time.perf_counter(), 0, 0
        for files, numbers in stream:
            for data, number in zip(files, numbers, strict=True):
                if number not in wanted or len(data) != sizes[number]:
                    raise SystemExit(f"face {number} is not what was asked for")
            count, many = count + len(files), many + 1
            if time.perf_counter() - begin >= seconds and many >= _LEAST:
                break
        return {"rate": count / (time.perf_counter() - begin)}

    def _spent(self) -> tuple[float, int]:
        """CPU seconds of this process and its workers so far, and the bytes that a disk had to bring for them."""
        own = psutil.Process()
        everybody = [own, *own.children(recursive=True)]
        times = [process.cpu_times() for process in everybody]
        read = sum(process.io_counters().read_bytes for process in everybody)
        return sum(spent.user + spent.system for spent in times), read

    def _measure(self, batches: Iterator, seconds: float) -> dict:
        (cpu, read), begin, count, many = self._spent(), time.perf_counter(), 0, 0
        end = begin
        for pixels, numbers in batches:
            self._check(pixels, numbers)
            end = time.perf_counter()
            count, many = count + len(numbers), many + 1
            if end - begin >= seconds and many >= _LEAST:
                break
        cpu_after, read_after = self._spent()
        return {
            "rate": count / (end - begin),
            "cpu_us": (cpu_after - cpu) / count * 1e6,
            "from_disk": read_after - read,
        }

    def _check(self, pixels: torch.Tensor, numbers) -> None:
        if len(pixels) != len(numbers):
            raise SystemExit(f"{len(pixels)} tensors with {len(numbers)} numbers")
        for face, number in zip(pixels.numpy(), [int(number) for number in numbers], strict=True):
            if number not in self._wanted or xxhash.xxh3_64_intdigest(face) != self._hashes[number]:
                raise SystemExit(f"what was delivered as face {number} of part {self._part} is not its pixels")


def main() -> None:
    name, codec, faces, folder, workers, batch = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    torch.set_num_threads(1)
    side = Side(name, codec, Path(faces), Path(folder), int(workers), int(batch))
    print(json.dumps({}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(side, command.pop("do"))(**command)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

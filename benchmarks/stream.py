"""How fast a split streams into tensors, beside the decoder alone and what people use today; on the same bytes.

ours        the pinned split through deepshard's loader
limit       the fastest decoder measured, on bytes in memory, through the same DataLoader, collation and transport
webdataset  all shards, samples that are not of the split dropped before decoding
datasets    Hugging Face datasets, streaming, likewise
litdata, mosaic (mosaicml-streaming)  their own formats: whole sets streamed, parts picked by number
lmdb        one LMDB, read by key, as DeepfakeBench does
loose       a file per face
raw         ours, the split materialised as raw pixels

All have the same faces, decoder and number of workers, each a process of its own with one thread per worker. Sides take
turns in each of ``--pairs`` rounds, in changing order: first all that read the shards, then ours and each of those that
have files of their own, so that what is to be warm fits into memory. Whoever waits for its turn is stopped with all its
workers, and what they made ahead before is delivered before the clock starts. Figures are medians, in samples/s.
``ours/SIDE`` is the median of the rounds' ratios, and ``cpu_us`` the CPU microseconds a side's processes spend on a
sample, for machines that others use too. Every delivered tensor is hashed and compared. Warm: the side's files are read
before, and a measurement that still had to read from the disk is made again. Cold: they are dropped from the page
cache, and an epoch is timed from its beginning. ``bytes`` is the rate without decoding, without workers;
``read_amplification`` the bytes asked of the shards per byte of the split's faces. A peer that stops is told and left
out (null). The last line of the output is one JSON object.

    python benchmarks/stream.py [--clips FOLDER] [--faces N] [--pairs N] [--codecs png jpg] [--parts 1 10 100] ...
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peers import ENVIRONMENTS, SIDES  # noqa: E402
from benchmarks.stream_faces import PARTS, Faces, make_faces  # noqa: E402

RAW_PARTS = ("1", "10")  # materialised as raw pixels
UNPICKED = ("webdataset", "datasets")  # read the shards themselves
OWN_FILES = ("litdata", "mosaic", "lmdb", "loose")  # read a copy of all faces in a form of their own
NEEDED = ("ours", "limit", "raw")  # without these there is nothing to compare
INSTALL_S = 900
BUFFER = 4 << 20
STRAY = 1 << 20  # bytes that may come from the disk while all files are in memory: code that is loaded
AMPLIFICATION_BATCHES = 200  # over which read amplification is counted, at most


class Stopped(Exception):
    """A side that ended before it was told to; the message has the end of its log."""


class Process:
    """A side: ``ask`` sends a command and waits for the answer. It and its workers run only meanwhile."""

    def __init__(self, name: str, python: Path, faces: Faces, folder: Path, workers: int, batch: int) -> None:
        self.name = name
        arguments = [name, faces.codec, str(faces.folder), str(folder), str(workers), str(batch)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.log = open(folder.with_suffix(".log"), "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.stream_side", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            process_group=0,  # with its workers: should this process be killed, the system ends a stopped group
        )
        self._answer()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        self._signal(signal.SIGCONT)
        with suppress(BrokenPipeError):  # it has ended: there is no answer
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise Stopped(f"{self.name} stopped:\n{Path(self.log.name).read_text()[-4000:]}")
        self._signal(signal.SIGSTOP)
        return json.loads(line)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # all of them have ended
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        self._signal(signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=20)
        self._signal(signal.SIGKILL)  # and whatever workers are left
        self._process.wait()
        self.log.close()


def environment(name: str, packages: Sequence[str], cache: Path) -> Path | None:
    """The Python of an environment with these packages, made if it is not there; None if they cannot be installed.

    The environment sees deepshard's own packages behind its own, so that all sides share one torch and one decoder.
    """
    folder = cache / f"env-{name}"
    python = folder / "bin" / "python"
    if (folder / "done").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    print(f"installing {', '.join(packages)} into {folder}", flush=True)
    venv.create(folder, with_pip=True)
    own = [path for path in sys.path if path.endswith("site-packages")]
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "zz_behind.pth").write_text("".join(f"{path}\n" for path in own))
    command = [str(python), "-m", "pip", "install", "--quiet", *packages]
    try:
        subprocess.run(command, check=True, timeout=INSTALL_S, capture_output=True, text=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = error.stderr or ""
        print(f"NOT MEASURED: {name} cannot be installed ({str(said)[-500:].strip() or error})", flush=True)
        return None
    (folder / "done").touch()
    return python


def files_of(name: str, faces: Faces, folder: Path) -> list[Path]:
    """What a side reads."""
    if name in ("ours", *UNPICKED):
        return faces.tars
    return [path for path in folder.rglob("*") if path.is_file()]


def touch(paths: list[Path]) -> None:
    """Read the files into the page cache."""
    buffer = bytearray(BUFFER)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def drop(paths: list[Path]) -> None:
    """Drop the files from the page cache."""
    for path in paths:
        with open(path, "rb") as file:
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def together(names: list[str]) -> list[list[str]]:
    """The sides in groups that are measured one after the other: all that read the shards, then each that has files of
    its own beside ours. So no more than two copies of the faces have to fit into the page cache."""
    shards = [name for name in names if name not in OWN_FILES]
    return [shards, *(["ours", name] if "ours" in names else [name] for name in names if name in OWN_FILES)]


def prepare(faces: Faces, pythons: dict[str, Path], cache: Path, args) -> None:
    """Make what each side reads, one after the other."""
    raw = {"raw": Path(sys.executable)} if faces.codec == "png" else {}
    for name, python in (pythons | raw).items():
        side = Process(name, python, faces, cache / f"{faces.folder.name}-{name}", args.workers, args.batch)
        side.ask("write")
        for part in RAW_PARTS if name == "raw" else ():
            side.ask("open", part=part)
        side.close()
        print(f"{faces.codec}: {name} is there", flush=True)


def measure(faces: Faces, parts: list[str], pythons: dict[str, Path], cache: Path, args) -> dict[str, Any]:
    """By part and temperature: medians by side, ``ours/SIDE``, and ``cpu_us`` by side. Prints lines of them."""
    every = {**pythons, **({"raw": Path(sys.executable)} if faces.codec == "png" else {})}
    figures: dict[str, Any] = {part: defaultdict(lambda: {"cpu_us": {}}) for part in parts}
    for group in together(list(every)):
        sides = {}
        for name in group:
            folder = cache / f"{faces.folder.name}-{name}"
            with left_out_if_it_stops(name, sides):
                sides[name] = Process(name, every[name], faces, folder, args.workers, args.batch)
                sides[name].ask("write")
        paths = {name: files_of(name, faces, cache / f"{faces.folder.name}-{name}") for name in sides}
        for part in parts:
            for state, found in take_turns(sides, part, paths, args).items():
                cpu = figures[part][state]["cpu_us"]
                cpu |= {name: spent for name, spent in found.pop("cpu_us").items() if name not in cpu}
                figures[part][state] = found | figures[part][state]  # ours is that of the first group
                print(f"{faces.codec} {part:>3s}% {state}: {found}, cpu_us: {cpu}", flush=True)
        for name, side in sides.items():
            side.close()
            if name in OWN_FILES:
                drop(paths[name])  # the next side needs the room
    return figures


@contextmanager
def left_out_if_it_stops(name: str, sides: dict[str, Process]) -> Iterator[None]:
    try:
        yield
    except Stopped as stopped:
        if name in NEEDED:
            raise SystemExit(str(stopped)) from None
        sides.pop(name, None)
        print(f"NOT MEASURED from here on: {stopped}", flush=True)


def take_turns(sides: dict[str, Process], part: str, paths: dict[str, list[Path]], args) -> dict[str, Any]:
    """Medians by temperature. A side that stops is taken out of ``sides``."""
    medians = {}
    for name in [name for name in sides if name != "raw" or part in RAW_PARTS]:
        with left_out_if_it_stops(name, sides):
            sides[name].ask("open", part=part)
    for state, rounds in (("warm", args.pairs), ("cold", args.cold_pairs)):
        rates, spent = defaultdict(list), defaultdict(list)
        for turn in range(rounds):
            names = [n for n in sides if (n != "raw" or part in RAW_PARTS) and (n != "limit" or state == "warm")]
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                with left_out_if_it_stops(name, sides):
                    answer = measured(sides[name], state, paths[name], turn == 0, args.seconds)
                    rates[name].append(answer["rate"])
                    spent[name].append(answer["cpu_us"])
        if rounds:
            cpu = {name: round(median(some)) for name, some in spent.items() if name in sides}
            medians[state] = summary({name: rates[name] for name in cpu}) | {"cpu_us": cpu}
    return medians


def measured(side: Process, state: str, paths: list[Path], first: bool, seconds: float) -> dict[str, Any]:
    """One measurement. What was read into memory once is read again only if it is no longer all there."""
    if state == "cold":
        drop(paths)
    elif first:
        touch(paths)
    answer = side.ask(state, seconds=seconds)
    if state == "warm" and answer["from_disk"] > STRAY:
        touch(paths)
        answer = side.ask(state, seconds=seconds)
        if answer["from_disk"] > STRAY:
            print(
                f"{side.name} read {answer['from_disk']:,} bytes from the disk: too little memory for warm", flush=True
            )
    return answer


def summary(rates: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of the rates, and of ours over each other side's in the same round."""
    found: dict[str, Any] = {name: round(median(some), 1) for name, some in rates.items()}
    for name in rates:
        if name != "ours" and "ours" in rates:
            pairs = zip(rates["ours"], rates[name], strict=True)
            found[f"ours/{name}"] = round(median(ours / other for ours, other in pairs), 3)
    return found


def without_decoding(faces: Faces, parts: list[str], cache: Path, args) -> dict[str, Any]:
    """Files delivered per second, without workers: ours and webdataset."""
    figures = {}
    names = ("ours", "webdataset")
    sides = {name: Process(name, Path(sys.executable), faces, cache / f"bytes-{name}", 0, args.batch) for name in names}
    for part in parts:
        rates = defaultdict(list)
        for turn in range(args.pairs):
            for name in names if turn % 2 else names[::-1]:
                touch(faces.tars)
                rates[name].append(sides[name].ask("bytes", part=part, seconds=args.seconds)["rate"])
        figures[part] = summary(rates)
        print(f"bytes {part:>3s}%: {figures[part]}", flush=True)
    for side in sides.values():
        side.close()
    return figures


def read_amplification(faces: Faces, parts: list[str], batch: int) -> dict[str, float]:
    """Bytes asked by pread per byte of the faces delivered, over an epoch of the shuffled order or its beginning."""
    from shards.sampler import GlobalBatchSampler
    from shards.split import Split

    asked = 0
    preadv = os.preadv

    def counting(descriptor, buffers, offset):
        nonlocal asked
        asked += sum(map(len, buffers))
        return preadv(descriptor, buffers, offset)

    figures = {}
    os.preadv = counting
    try:
        for part in parts:
            split = Split.open(faces.manifest(part))
            dataset, sizes = split.dataset(), split.ranges("image").sizes
            asked = delivered = 0
            for slots in islice(GlobalBatchSampler(split, min(batch, len(split))), AMPLIFICATION_BATCHES):
                dataset.__getitems__(slots)
                delivered += int(sizes[slots["row"]].sum())
            figures[part] = round(asked / delivered, 4)
    finally:
        os.preadv = preadv
    return figures


def decoders(faces: Faces, cache: Path) -> dict[str, float]:
    """Milliseconds per face of every decoder that is installed here or can be; see stream_decoders.py."""
    from benchmarks.stream_decoders import PACKAGES

    python = environment("decoders", PACKAGES, cache) or Path(sys.executable)
    command = [str(python), "-m", "benchmarks.stream_decoders", faces.codec, str(faces.folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{faces.codec} decoders, ms: {done.stdout.strip()}", flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "clips", help="videos with faces")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/deepshard-bench").expanduser())
    parser.add_argument("--faces", type=int, default=50_000)
    parser.add_argument("--shards", type=int, default=52)
    parser.add_argument("--pairs", type=int, default=7, help="rounds in which all sides take turns")
    parser.add_argument("--seconds", type=float, default=0.8, help="of one measurement, at least")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--codecs", nargs="+", choices=("png", "jpg"), default=["png", "jpg"])
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--cold-pairs", type=int, default=3, help="the same with a cold page cache; 0: not at all")
    parser.add_argument("--prepare", action="store_true", help="make what is read, and measure nothing")
    args = parser.parse_args()
    if not args.clips.is_dir():
        print(f"no folder {args.clips}: give one with videos by --clips (make bench-stream CLIPS=...)", file=sys.stderr)
        return 2
    args.cache.mkdir(parents=True, exist_ok=True)
    pythons = {}
    for name in args.sides:
        python = Path(sys.executable)
        if name in ENVIRONMENTS:
            python = environment(name, ENVIRONMENTS[name], args.cache)
        if python:
            pythons[name] = python
    figures: dict[str, Any] = {}
    for codec in args.codecs:
        faces = make_faces(args.clips, args.cache, codec, args.faces, args.shards, args.workers)
        if args.prepare:
            prepare(faces, pythons, args.cache, args)
            continue
        figures.setdefault("decoders_ms", {})[codec] = decoders(faces, args.cache)
        measured = measure(faces, args.parts, pythons, args.cache, args)
        figures[codec] = {part: dict.fromkeys(args.sides) | by["warm"] for part, by in measured.items()}
        if args.cold_pairs:
            figures[f"{codec}_cold"] = {part: by["cold"] for part, by in measured.items()}
        if codec == "png":
            warm = {part: by["warm"] for part, by in measured.items() if "raw" in by["warm"]}
            figures["raw"] = {part: {"ours": of["raw"], "png": of["ours"]} for part, of in warm.items()}
            figures["bytes"] = without_decoding(faces, args.parts, args.cache, args)
            figures["read_amplification"] = read_amplification(faces, args.parts, args.batch)
    if not args.prepare:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

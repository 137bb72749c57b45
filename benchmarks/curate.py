"""What curation costs beside what the field does today and beside decoding alone, in CPU seconds on real clips.

ours      curation as it runs: hashing, probing, decoding, faces and landmarks (dlib), choosing, warping, encoding,
          parts and packing; 32 evenly spaced frames.
usual     OpenCV reads every frame in order, dlib's HOG detector with one upsampling looks at full resolution, 68
          landmarks, similarity warp, PNG files; the same 32 frames.
opencv    decoding alone: OpenCV reads in order up to the last wanted frame and gives the wanted ones in RGB.
own       decoding alone with the decoder that ours took: open the file, ask for the wanted frames in RGB.

Each side has one process with one thread; for every clip the sides run one after the other, in turning order, so that a
busy neighbour hits all. CPU seconds are those of the whole process. ``speedup`` is usual over ours, ``cpu_over_decode``
ours over opencv, ``cpu_over_own_decode`` ours over own. A face counts where it overlaps (IoU >= 0.5) one that the usual
way finds in that frame or one that was checked by eye. The last line of the output is one JSON object.

    python benchmarks/curate.py [--clips FOLDER] [--repeat N] [--match TEXT] [--without-usual] [--decoder pyav]
    python benchmarks/curate.py --cores     throughput of the driver with 1 and with 2 workers
    python benchmarks/curate.py --scale     cost of a video over a 100-fold range of how many there are
    python benchmarks/curate.py --length    memory of a worker over a 100-fold range of a clip's length
"""

import argparse
import importlib.util
import json
import multiprocessing
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
CHECKED = ROOT / "tests" / "data" / "clips_faces.json"
SUFFIXES = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".gif", ".264"}
STAGES = ("open", "decode", "detect", "landmarks", "warp", "measure", "encode", "write", "other")
SIDES = ("ours", "usual", "opencv", "own")
SAMPLING = "evenly 32"
SIZE = 256
DESCRIPTION = """
dataset: benchmark
licence: none
redistributable: false
kind: videos
rules:
  - {match: "*", label: real, method: original}
exclude: ["*.csv", "*.md", "*.txt"]
"""


class Stages:
    """CPU seconds by stage; a stage inside another one is taken off it. One for a process.

    What other threads than this one take is decoding: decord has a thread of its own, which reads ahead.
    """

    def __init__(self):
        self.spent: dict[str, float] = defaultdict(float)
        self._names = ["other"]
        self._since = time.thread_time(), time.process_time()

    def _turn(self) -> None:
        thread, process = now = time.thread_time(), time.process_time()
        here = thread - self._since[0]
        self.spent[self._names[-1]] += here
        self.spent["decode"] += max(process - self._since[1] - here, 0.0)
        self._since = now

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        self._turn()
        self._names.append(name)
        try:
            yield
        finally:
            self._turn()
            self._names.pop()

    def timed(self, function: Callable, name: str) -> Callable:
        @wraps(function)
        def run(*args, **kwargs):
            with self.on(name):
                return function(*args, **kwargs)

        return run

    def timed_steps(self, generator: Callable, name: str) -> Callable:
        """The same for what yields: only the steps count, not what is done with what they give."""

        @wraps(generator)
        def run(*args, **kwargs):
            steps = generator(*args, **kwargs)
            while True:
                with self.on(name):
                    try:
                        value = next(steps)
                    except StopIteration:
                        return
                yield value

        return run

    def take(self) -> dict[str, float]:
        """What was spent since the last call."""
        self._turn()
        spent = {name: self.spent[name] for name in STAGES}
        self.spent.clear()
        return spent


class Ours:
    """The code that curates, with a clock in front of each stage."""

    def __init__(self, clips: Path, folder: Path, decoder: str | None):
        import cv2

        from curation import video
        from curation.faces.opening import backend_of
        from shards import pack, part

        cv2.setNumThreads(1)
        self.stages = Stages()
        self._folder, self._part = folder, part
        self._recipe = recipe()
        self._backend = backend_of(self._recipe)
        self._backend.load()
        self._rows = {row["path"]: row for row in video_rows(clips, folder / "scan")}
        self._clips, self._parts = clips, []
        self._video, self._decoder = video, decoder
        timed = self.stages.timed
        video.open_clip = timed(video.open_clip, "open")
        video._frames = self.stages.timed_steps(video._frames, "decode")
        video.align = timed(video.align, "warp")
        video.measure = timed(video.measure, "measure")
        video._encode = timed(video._encode, "encode")
        self._backend.find = timed(self._backend.find, "detect")
        self._backend._read = timed(self._backend._read, "landmarks")
        for name in ("__init__", "add", "finish"):
            setattr(part.PartWriter, name, timed(getattr(part.PartWriter, name), "write"))
        self._pack = timed(pack.pack, "write")

    def clip(self, name: str) -> dict[str, Any]:
        """Curates one clip: its stages, frames read, frames wanted, the boxes kept by frame index."""
        from curation.frames.sampling import Sampling

        part = self._folder / f"{len(self._parts)}.part"
        self._parts.append(part)
        task = self._video.Task(self._rows[name], str(self._clips), str(part), self._decoder)
        self.stages.take()
        attempt = self._video.curate_video(task, self._recipe, self._backend, lambda: None)
        spent = self.stages.take()
        boxes = defaultdict(list)
        for row in self._part.read_part(part).samples.to_pylist():
            x, y, width, height = (row[f"box_{edge}"] for edge in "xywh")
            boxes[row["frame_index"]].append([x, y, x + width, y + height])
        there = range(attempt["frame_count"] or 0)
        wanted = list(next(Sampling.parse(SAMPLING).rounds(there, lambda: 0), []))
        return {
            "stages": spent,
            "frames": attempt["frames_read"],
            "wanted": wanted,
            "boxes": dict(boxes),
            "decoder": (attempt["decoder"] or "none").split()[0],
        }

    def pack(self) -> dict[str, Any]:
        """Packs the parts of all clips, once a pass as a run does once a shard."""
        self.stages.take()
        self._pack(self._parts, self._folder, "benchmark")
        spent = self.stages.take()
        for file in [*self._parts, *self._folder.glob("benchmark.*")]:
            file.unlink()
        self._parts.clear()
        return {"stages": spent}


class Usual:
    """What the field does today, with the clock of ours."""

    def __init__(self, clips: Path, folder: Path):
        import cv2
        import dlib

        cv2.setNumThreads(1)
        # importing the package needs an old setuptools
        models = importlib.util.find_spec("face_recognition_models").submodule_search_locations[0]
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(f"{models}/models/shape_predictor_68_face_landmarks.dat")
        # eyes, nose tip and corners of the mouth in the crop
        self._places = np.float32([[86, 108], [170, 108], [128, 150], [93, 192], [163, 192]])
        self._clips, self._folder = clips, folder
        self.stages = Stages()

    def clip(self, name: str, wanted: list[int]) -> dict[str, Any]:
        import cv2

        on = self.stages.on
        self.stages.take()
        boxes, frames = {}, read_in_order(self._clips / name, wanted, to_the_end=True)
        with on("decode"):
            frames = list(frames)
        for index, rgb in frames:
            with on("detect"):
                found = self._detector(rgb, 1)
            boxes[index] = [[box.left(), box.top(), box.right(), box.bottom()] for box in found]
            if not found:
                continue
            with on("landmarks"):
                points = self._predictor(rgb, max(found, key=lambda box: box.area())).parts()
                points = np.float32([[point.x, point.y] for point in points])
            with on("warp"):
                five = [points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]
                matrix, _ = cv2.estimateAffinePartial2D(np.stack(five), self._places)
                crop = None if matrix is None else cv2.warpAffine(rgb, matrix, (SIZE, SIZE))
            if crop is not None:
                with on("encode"):
                    data = cv2.imencode(".png", crop[..., ::-1])[1].tobytes()
                with on("write"):
                    (self._folder / f"{name}-{index:06d}.png").write_bytes(data)
        return {"stages": self.stages.take(), "frames": len(frames), "boxes": boxes}


class Opencv:
    """Decoding alone, as the field reads a video."""

    def __init__(self, clips: Path, folder: Path):
        import cv2

        cv2.setNumThreads(1)
        self._clips = clips
        self.stages = Stages()

    def clip(self, name: str, wanted: list[int]) -> dict[str, Any]:
        self.stages.take()
        with self.stages.on("decode"):
            frames = sum(1 for _ in read_in_order(self._clips / name, wanted))
        return {"stages": self.stages.take(), "frames": frames}


class Own:
    """Decoding alone with decord, or with PyAV where ours took that."""

    def __init__(self, clips: Path, folder: Path):
        self._clips = clips
        self.stages = Stages()

    def clip(self, name: str, wanted: list[int], decoder: str) -> dict[str, Any]:
        self.stages.take()
        read = self._decord if decoder == "decord" else self._pyav
        with self.stages.on("decode"):
            frames = read(str(self._clips / name), wanted) if wanted else 0
        return {"stages": self.stages.take(), "frames": frames}

    def _decord(self, path: str, wanted: list[int]) -> int:
        import decord

        reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
        return len([reader[index].asnumpy().shape for index in wanted])

    def _pyav(self, path: str, wanted: list[int]) -> int:
        import av

        got, left = 0, set(wanted)
        with av.open(path) as container:
            container.streams.video[0].codec_context.thread_count = 1
            try:
                for index, frame in enumerate(container.decode(video=0)):
                    if index in left:
                        frame.to_ndarray(format="rgb24")
                        got += 1
                        if index == wanted[-1]:
                            break
            except av.FFmpegError:
                pass  # a damaged clip: what came until here was decoded
        return got


def read_in_order(path: Path, wanted: list[int], to_the_end: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """(index, frame in RGB) of the wanted frames: OpenCV reads one frame after another, on one thread."""
    import cv2

    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    left, index = set(wanted), 0
    while left or to_the_end:
        there, frame = video.read()
        if not there:
            return
        if index in left:
            left.remove(index)
            yield index, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        index += 1


_side: Any = None  # of this process


def start_side(name: str, clips: Path, folder: Path, decoder: str | None = None) -> None:
    global _side
    folder.mkdir()
    if name == "ours":
        _side = Ours(clips, folder, decoder)
    else:
        _side = {"usual": Usual, "opencv": Opencv, "own": Own}[name](clips, folder)


def call(method: str, *args) -> dict[str, Any]:
    """Runs in a side's process: what the side says, and the most memory it held meanwhile, MB."""
    base = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak, proc(5)
    return getattr(_side, method)(*args) | {"peak_mb": memory("VmHWM"), "base_mb": base}


def memory(field: str) -> float:
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6


def recipe(sampling: str = SAMPLING):
    from curation.recipe import load

    return load("default", aligner="dlib", sampling=sampling)


def video_rows(clips: Path, place: Path) -> list[dict[str, Any]]:
    """The catalog's rows of the clips."""
    from queries.catalog import connect_read
    from shards.schema import VIDEO_FIELDS

    columns = ", ".join(field.name for field in VIDEO_FIELDS)
    with connect_read(scan(clips, place)[0]) as db:
        return db.sql(f"SELECT {columns} FROM videos").to_arrow_table().to_pylist()


def scan(clips: Path, place: Path) -> tuple[Path, Path]:
    """A catalog and a store under ``place`` that know the clips."""
    from curation.sources import open_source, write_source
    from queries.ingest import ingest_source

    place.mkdir()
    description = place / "benchmark.yaml"
    description.write_text(DESCRIPTION)
    catalog, store = place / "catalog.duckdb", place / "store"
    ingest_source(catalog, write_source(open_source("folder", clips, config=description), store))
    return catalog, store


def side_by_side(
    clips: Path, names: list[str], repeat: int, sides: tuple[str, ...], decoder: str | None, folder: Path
) -> dict[str, Any]:
    """Prints a line per clip and the totals by stage; returns the figures."""
    spawn = multiprocessing.get_context("spawn")
    pools = {
        side: ProcessPoolExecutor(1, spawn, initializer=start_side, initargs=(side, clips, folder / side, decoder))
        for side in sides
    }

    def ask(side: str, *args) -> dict[str, Any]:
        return pools[side].submit(call, *args).result()

    answers: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for turn in range(repeat):
        for number, name in enumerate(names):
            if turn == 0:
                ours = ask("ours", "clip", name)  # it says which frames are wanted; the first pass begins with it
                answers[name, "ours"].append(ours)
            order = [sides[(place + number + turn) % len(sides)] for place in range(len(sides))]
            for side in order:
                if side != "ours":
                    more = [answers[name, "ours"][0]["wanted"]]
                    more += [answers[name, "ours"][0]["decoder"]] if side == "own" else []
                    answers[name, side].append(ask(side, "clip", name, *more))
                elif turn:
                    answers[name, "ours"].append(ask("ours", "clip", name))
        answers["", "ours"].append(ask("ours", "pack"))
    for pool in pools.values():
        pool.shutdown()

    known = json.loads(CHECKED.read_text())
    print(f"{'CPU seconds':34s} " + " ".join(f"{side:>8s}" for side in sides) + "  frames faces usual  peak MB")
    total = {side: dict.fromkeys(STAGES, 0.0) for side in sides}
    frames = faces = usual_faces = unknown = 0
    for name in [*names, ""]:
        cells = []
        for side in sides:
            runs = answers[name, side]
            spent = {stage: median(run["stages"][stage] for run in runs) if runs else 0.0 for stage in STAGES}
            for stage in STAGES:
                total[side][stage] += spent[stage]
            cells.append(f"{sum(spent.values()):8.2f}")
        ours = answers[name, "ours"][0]
        if not name:
            print(f"{'packing':34s} " + " ".join(cells))
            continue
        there = answers[name, "usual"][0]["boxes"] if answers[name, "usual"] else {}
        right, wrong, other = count_faces(ours["boxes"], there, known.get(name, {}))
        frames, faces, usual_faces, unknown = (
            frames + ours["frames"],
            faces + right,
            usual_faces + other,
            unknown + wrong,
        )
        peak = max(run["peak_mb"] for run in answers[name, "ours"])
        print(f"{name[:34]:34s} " + " ".join(cells) + f"  {ours['frames']:6d} {right:5d} {other:5d} {peak:8.0f}")
    sums = {side: sum(total[side].values()) for side in sides}
    print(
        f"{'all':34s} "
        + " ".join(f"{sums[side]:8.2f}" for side in sides)
        + f"  {frames:6d} {faces:5d} {usual_faces:5d}"
    )
    print("\nof this")
    for stage in STAGES:
        print(f"  {stage:32s} " + " ".join(f"{total[side][stage]:8.2f}" for side in sides))
    print(f"  {'frames per CPU second':32s} " + " ".join(f"{frames / sums[side]:8.1f}" for side in sides))
    runs = {side: [run for (_, of), some in answers.items() if of == side for run in some] for side in sides}
    peaks = {side: max(run["peak_mb"] for run in runs[side]) for side in sides}
    print(f"  {'peak memory, MB':32s} " + " ".join(f"{peaks[side]:8.0f}" for side in sides))
    return {
        "speedup": round(sums["usual"] / sums["ours"], 2) if "usual" in sides else None,
        "cpu_over_decode": round(sums["ours"] / sums["opencv"], 2),
        "cpu_over_own_decode": round(sums["ours"] / sums["own"], 2),
        "frames": frames,
        "faces": faces,
        "baseline_faces": usual_faces if "usual" in sides else None,
        "unchecked_faces": unknown,
        "peak_mb": round(peaks["ours"]),
        "base_mb": round(min(run["base_mb"] for run in runs["ours"])),
        "cpu_s": {side: round(sums[side], 2) for side in sides},
        "stages": {stage: round(total["ours"][stage], 2) for stage in STAGES},
        "frames_per_cpu_s": round(frames / sums["ours"], 1),
        "clips": len(names),
        "repeat": repeat,
    }


def count_faces(ours: dict, usual: dict, known: dict) -> tuple[int, int, int]:
    """Frames with a face of ours that is one; with one that nobody has seen there; with one of the usual way."""
    from curation.faces.backend import overlap

    right = wrong = 0
    for index, boxes in ours.items():
        checked = known.get(str(index), {})
        there = usual.get(index, []) + checked.get("usual", []) + checked.get("checked", [])
        if there and (overlap(boxes, there) >= 0.5).any():
            right += 1
        else:
            wrong += 1
    return right, wrong, sum(bool(boxes) for boxes in usual.values())


def run_driver(clips: Path, place: Path, workers: int, sampling: str) -> dict[str, float]:
    """The driver over a folder: seconds by the clock, CPU seconds of this process and of its workers, videos, faces."""
    from curation.run import curate

    catalog, store = scan(clips, place)
    clock, own, theirs = time.monotonic(), time.process_time(), children()
    report = curate(catalog, store, recipe(sampling), workers=workers)
    return {
        "wall_s": time.monotonic() - clock,
        "driver_cpu_s": time.process_time() - own,
        "worker_cpu_s": children() - theirs,
        "videos": report.videos,
        "faces": report.faces,
    }


def children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def cores(clips: Path, names: list[str], repeat: int, folder: Path) -> dict[str, Any]:
    """Throughput with 1 and with 2 workers, their start included; by the clock, so for a machine that is idle."""
    linked = link(clips, names, folder / "clips")
    runs = defaultdict(list)
    for turn in range(repeat):
        for workers in (1, 2) if turn % 2 == 0 else (2, 1):
            place = folder / f"{workers}-{turn}"
            runs[workers].append(run_driver(linked, place, workers, SAMPLING))
            shutil.rmtree(place)
    figures = {}
    for workers, some in sorted(runs.items()):
        wall, cpu = (median(run[key] for run in some) for key in ("wall_s", "worker_cpu_s"))
        figures[f"workers_{workers}"] = {"wall_s": round(wall, 2), "worker_cpu_s": round(cpu, 2)}
        print(f"{workers} workers: {wall:.1f} s, {cpu:.1f} CPU s, {some[0]['faces']} faces")
    walls = [figures[f"workers_{workers}"]["wall_s"] for workers in (1, 2)]
    cpus = [figures[f"workers_{workers}"]["worker_cpu_s"] for workers in (1, 2)]
    return figures | {"gain": round(walls[0] / walls[1], 2), "cpu_ratio": round(cpus[1] / cpus[0], 2)}


def scale(clips: Path, names: list[str], counts: list[int], folder: Path) -> dict[str, Any]:
    """What a video costs the driver and a worker when there are 6, 60, 600: the shortest clip under so many names."""
    shortest = min((clips / name for name in names), key=lambda path: path.stat().st_size)
    print(f"{shortest.name} under other names, 2 frames each")
    runs = []
    for count in counts:
        many = folder / f"clips-{count}"
        many.mkdir()
        for number in range(count):
            shutil.copy(shortest, many / f"{number:06d}{shortest.suffix}")
        run = run_driver(many, folder / f"run-{count}", 1, "evenly 2")
        runs.append(run)
        each = {key: 1000 * run[key] / count for key in ("driver_cpu_s", "worker_cpu_s", "wall_s")}
        print(f"{count:6d} videos: " + ", ".join(f"{key[:-2]} {value:.1f} ms" for key, value in each.items()) + " each")
    # a worker opens its models once, whatever the number of videos: the slopes are those of what comes on top
    figures = {"counts": counts}
    for key in ("driver_cpu_s", "worker_cpu_s", "wall_s"):
        spent = [run[key] for run in runs]
        steps = zip(spent, spent[1:], counts, counts[1:], strict=False)
        marginal = [(after - before) / (more - fewer) for before, after, fewer, more in steps]
        figures[key] = [round(value, 3) for value in spent]
        figures[f"{key[:-2]}_ms_per_more_video"] = [round(1000 * value, 2) for value in marginal]
        slope = np.polyfit(np.log(counts), np.log(spent), 1)[0]
        figures[f"{key[:-2]}_slope"] = round(float(slope), 3)
    return figures


def length(clips: Path, names: list[str], decoder: str | None, folder: Path) -> dict[str, Any]:
    """The most memory a worker holds over clips that are 1, 10 and 100 times as long, packets repeated, MB."""
    name = next((name for name in names if name.endswith(".mp4") and "crowd" in name), names[0])
    longer = folder / "clips"
    longer.mkdir()
    for times in (1, 10, 100):
        repeat_packets(clips / name, longer / f"{times:03d}.mp4", times)
    figures = {"clip": name}
    spawn = multiprocessing.get_context("spawn")
    for file in sorted(longer.iterdir()):
        # a process each: what the allocator keeps from one clip would count for the next
        arguments = ("ours", longer, folder / file.stem, decoder)
        with ProcessPoolExecutor(1, spawn, initializer=start_side, initargs=arguments) as pool:
            run = pool.submit(call, "clip", file.name).result()
        figures[f"times_{int(file.stem)}"] = {"base_mb": round(run["base_mb"]), "peak_mb": round(run["peak_mb"])}
        print(
            f"{name} {int(file.stem)} times: {run['peak_mb']:.0f} MB, {run['base_mb']:.0f} before it, {run['decoder']}"
        )
    return figures


def repeat_packets(source: Path, target: Path, times: int) -> None:
    """The video stream of a file so many times one after the other, not decoded."""
    import av

    shift = 0
    with av.open(str(target), "w") as out:
        stream = None
        for _ in range(times):
            with av.open(str(source)) as container:
                track = container.streams.video[0]
                stream = stream or out.add_stream_from_template(track)
                packets = [packet for packet in container.demux(track) if packet.size]
                for packet in packets:
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    out.mux(packet)
                shift += max(packet.duration for packet in packets) * len(packets)


def link(clips: Path, names: list[str], folder: Path) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to((clips / name).resolve())
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "clips")
    parser.add_argument("--match", default="", help="only clips with this in their name")
    parser.add_argument("--repeat", type=int, default=1, help="passes; figures are medians per clip and stage")
    parser.add_argument("--without-usual", action="store_true", help="leave out the slow side")
    parser.add_argument("--cores", action="store_true", help="throughput with 1 and 2 workers")
    parser.add_argument("--scale", nargs="*", type=int, metavar="VIDEOS", help="cost over so many videos: 6 60 600")
    parser.add_argument("--length", action="store_true", help="memory of a worker over clips 1, 10, 100 times as long")
    parser.add_argument("--decoder", choices=("decord", "pyav"), help="PyAV if not given")
    args = parser.parse_args()
    if not args.clips.is_dir():
        print(f"no folder {args.clips}: give one with videos by --clips (make bench-curate CLIPS=...)", file=sys.stderr)
        return 2
    names = sorted(path.name for path in args.clips.iterdir() if path.suffix in SUFFIXES and args.match in path.name)
    if not names:
        print(f"no video in {args.clips}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if args.cores:
            figures = cores(args.clips, names, args.repeat, folder)
        elif args.scale is not None:
            figures = scale(args.clips, names, args.scale or [6, 60, 600], folder)
        elif args.length:
            figures = length(args.clips, names, args.decoder, folder)
        else:
            sides = tuple(side for side in SIDES if side != "usual" or not args.without_usual)
            figures = side_by_side(args.clips, names, args.repeat, sides, args.decoder, folder)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

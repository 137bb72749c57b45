"""Make a demo tree on disk: film, forge, encode, in a few processes, and continue where a killed run stopped.

`demo.json` in the root says what the tree is (size, seed, version of the pixels) and, once it is complete, every file
with its size; a folder that holds anything else is never written into. Every file is written whole or not at all;
what is there, with the size it should have, is not made again.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
from threadpoolctl import threadpool_limits

from curation.demo.encode import CRF, FPS, encode, encode_masks, write
from curation.demo.forgeries import METHODS
from curation.demo.layout import CELEB, FFPP, SIZES, Clip, Job, Size, pairs, plan, testing_list
from curation.demo.motion import make_motion
from curation.demo.people import make_person
from curation.demo.photograph import DemoError, Photograph, open_photograph
from curation.demo.render import Footage, film
from curation.demo.scene import make_shot

PIXELS_VERSION = 1  # raised when the same size and seed give other pixels
RECORD = "demo.json"

README = """This folder holds SYNTHETIC demo data made by deepshard. It is not FaceForensics++, DFD or Celeb-DF.

Folders and files are named as in those datasets so that everything that reads them can be tried, but no video of them
is here. Every person is a variation, in shape and tone, of one photograph: the astronaut picture that comes with
scikit-image (NASA, public domain). Backdrops, motion and speech are computed. The forgeries are small versions of the
methods they are named after, applied to the uncompressed target before its only encoding.

Good for: trying the software from videos to results in minutes. Not good for: any claim about a detector, a method of
forgery, or people. Figures reached here say nothing about the real datasets.

Size: {size}
Seed: {seed}
Videos: {videos}, manipulation masks: {masks}, each {frames} frames at {fps} frames/s.
"""


@dataclass(frozen=True)
class DemoTree:
    """A complete demo tree. `made` says whether this call made it (False: it was there already)."""

    root: Path
    faceforensics: Path  # FaceForensics++ with FaceShifter and DFD
    celebdf: Path
    size: Size
    seed: int
    videos: int
    masks: int
    bytes: int
    made: bool


def make_demo(
    root: str | Path,
    size: str | Size = "full",
    seed: int = 0,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> DemoTree:
    """Make the demo data in `root`, or find it there.

    size: "full", "small", "tiny" or a Size. processes: 1 works in this process. progress(done, all) is called as jobs
    finish. The same size and seed give the same bytes, whatever the number of processes.
    Raises DemoError if `root` holds anything but a demo tree of the same parameters, or if a package is missing.
    """
    root = Path(root)
    if isinstance(size, str):
        if size not in SIZES:
            raise DemoError(f"there is no demo size {size!r}: choose one of {', '.join(SIZES)}")
        size = SIZES[size]
    jobs = plan(size, seed)
    parameters = {"pixels_version": PIXELS_VERSION, "seed": seed, "size": json.loads(json.dumps(asdict(size)))}
    record = _read_record(root, parameters)
    if record is None:
        write(root / RECORD, _json({**parameters, "files": None}))
        record = {"files": None}
    known = record["files"] or {}  # sizes of the files, once a tree was complete

    def is_there(name: str) -> bool:
        return (root / name).is_file() and (name not in known or (root / name).stat().st_size == known[name])

    if known and all(is_there(name) for name in known):
        return _tree(root, size, seed, jobs, known, made=False)
    texts = _texts(size, seed, jobs)
    for name, content in texts.items():
        write(root / name, content.encode())
    undone = [job for job in jobs if not all(is_there(name) for name in _files(job))]
    _run(root, undone, size, seed, processes, progress)
    names = sorted([name for job in jobs for name in _files(job)] + list(texts))
    files = {name: (root / name).stat().st_size for name in names}
    write(root / RECORD, _json({**parameters, "files": files}))
    return _tree(root, size, seed, jobs, files, made=True)


def make_clip(photo: Photograph, clip: Clip, frames: int, seed: int = 0) -> Footage:
    """Film one clip of a plan, uncompressed."""
    person = make_person(photo, clip.group, clip.person, seed)
    motion = make_motion(frames, FPS, seed, clip.group, clip.name)
    return film(person, motion, make_shot(clip.group, clip.shot, seed, clip.pan, clip.conditions))


def _make_job(root: Path, job: Job, photo: Photograph, frames: int, seed: int) -> None:
    with _one_thread():
        clips = dict.fromkeys(c for video in job for c in (video.clip, video.source) if c is not None)
        footage = {clip: make_clip(photo, clip, frames, seed) for clip in clips}
        forged, forged_as = None, None
        for video in job:
            shown = footage[video.clip].frames
            if video.method is not None:
                what = (video.method, video.clip, video.source)
                if forged_as != what:  # the c40 version follows its c23 version and is the same forgery
                    forged, forged_as = METHODS[video.method](footage[video.clip], footage[video.source]), what
                shown = forged.frames
                if video.mask is not None:
                    write(root / video.mask, encode_masks(forged.masks))
            write(root / video.path, encode(shown, CRF[video.quality]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread in OpenCV and BLAS: jobs run side by side, and sums are taken in one order."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before)


_worker_photo: Photograph | None = None


def _start_worker(photo: Photograph) -> None:
    global _worker_photo
    _worker_photo = photo


def _make_job_in_worker(root: Path, job: Job, frames: int, seed: int) -> None:
    _make_job(root, job, _worker_photo, frames, seed)


def _run(root: Path, jobs: list[Job], size: Size, seed: int, processes: int, progress) -> None:
    if not jobs:
        return
    photo = open_photograph()
    if processes <= 1:
        for done, job in enumerate(jobs):
            _make_job(root, job, photo, size.frames, seed)
            if progress is not None:
                progress(done + 1, len(jobs))
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start_worker, initargs=(photo,)) as pool:
        waiting = [pool.submit(_make_job_in_worker, root, job, size.frames, seed) for job in jobs]
        try:
            for done, finished in enumerate(as_completed(waiting)):
                finished.result()
                if progress is not None:
                    progress(done + 1, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _files(job: Job) -> list[str]:
    return [name for video in job for name in (video.path, video.mask) if name is not None]


def _counts(jobs: list[Job]) -> tuple[int, int]:
    videos = [video for job in jobs for video in job]
    return len(videos), sum(video.mask is not None for video in videos)


def _texts(size: Size, seed: int, jobs: list[Job]) -> dict[str, str]:
    videos, masks = _counts(jobs)
    texts = {f"{FFPP}/splits/{split}.json": json.dumps(chosen, indent=2) for split, chosen in pairs(size).items()}
    texts[f"{CELEB}/List_of_testing_videos.txt"] = testing_list(jobs)
    texts["README.txt"] = README.format(size=size, seed=seed, videos=videos, masks=masks, frames=size.frames, fps=FPS)
    return texts


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _read_record(root: Path, parameters: dict) -> dict | None:
    """The record of a tree of the same parameters, or None for a folder that is empty or not there."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    advice = "choose an empty folder, or remove this one"
    if not root.is_dir():
        raise DemoError(f"{root} is not a folder: {advice}")
    if not (root / RECORD).is_file():
        raise DemoError(f"{root} is not empty and holds no {RECORD} of the demo: {advice}")
    try:
        record = json.loads((root / RECORD).read_text())
        files = record["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise DemoError(f"{root / RECORD} is not a record of the demo ({error}): {advice}") from error
    for name, wanted in parameters.items():
        if record.get(name) != wanted:
            raise DemoError(f"{root} holds a demo of another {name} ({record.get(name)}, asked for {wanted}): {advice}")
    return {"files": files}


def _tree(root: Path, size: Size, seed: int, jobs: list[Job], files: dict[str, int], made: bool) -> DemoTree:
    videos, masks = _counts(jobs)
    return DemoTree(root, root / FFPP, root / CELEB, size, seed, videos, masks, sum(files.values()), made)

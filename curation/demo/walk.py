"""The whole road on synthetic data: the commands a user would type, one after the other, in a folder of their own.

Every step is a process of its own that is printed before it runs, so the demo shows nothing that a user could not do.
It ends with the detector's AUC in several situations, from the predictions in the catalog. Run again, each step finds
its work done.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from curation.demo.layout import SIZES
from curation.demo.photograph import DemoError
from curation.demo.tree import make_demo

SAMPLING = "evenly 20"
RUN = "mesonet-f2f"

# what the table at the end says of each test split, in the order of the question it answers
SITUATIONS = [
    ("f2f_test", "the method it was trained on, new people"),
    ("fs_i", "unseen method FaceSwap, the people of training"),
    ("nt_i", "unseen method NeuralTextures, the people of training"),
    ("fs_test", "unseen method FaceSwap, new people"),
    ("nt_test", "unseen method NeuralTextures, new people"),
    ("df_test", "unseen method Deepfakes, new people"),
    ("v2_test", "another dataset (shaped like Celeb-DF v2)"),
]
# fs_i and nt_i take the real faces that f2f_train leaves, so they have its parameters
TRAINED_ON = ["ffpp/f2f_train", "paper1/fs_i", "paper1/nt_i"]
TESTED_ON = [*(f"ffpp/{name}" for name in ("f2f_val", "f2f_test", "fs_test", "nt_test", "df_test")), "celebdf/v2_test"]
_DRAWN = 16  # frames that f2f_train draws of a video unless it is told otherwise


@dataclass(frozen=True)
class Result:
    """One line of the table at the end. ``frame_auc`` and ``video_auc`` are null for a split of one class."""

    split: str
    situation: str
    frames: int
    videos: int
    frame_auc: float | None
    video_auc: float | None


def walk(folder: Path, size: str = "full", overrides: tuple[str, ...] = ()) -> list[Result]:
    """Makes the demo data in ``folder``/videos and walks the road there; returns the lines of the table.

    ``overrides`` are handed to the training (``--epochs 1``). Raises DemoError naming the command that failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    print("The data of this demo is synthetic: variations of one photograph, forged in small honest ways.")
    print("Figures reached on it say nothing about real datasets. It shows that the road holds.\n", flush=True)
    tree = make_demo(folder / "videos", size)
    made = f"{tree.videos} videos and {tree.masks} masks, {tree.bytes / 1e6:.0f} MB, in {folder / 'videos'}"
    print(f"{'made' if tree.made else 'found'} {made}\n\n$ cd {folder}", flush=True)

    _deepshard(folder, "scan", "faceforensics", str(tree.faceforensics.relative_to(folder)))
    _deepshard(folder, "scan", "dfd", str(tree.faceforensics.relative_to(folder)))
    _deepshard(folder, "scan", "celebdf", str(tree.celebdf.relative_to(folder)))
    # dlib has its weights in its package; the default aligner would download some
    _deepshard(folder, "curate", "--recipe", "default", "--aligner", "dlib", "--sampling", SAMPLING)
    _deepshard(folder, "sql", "SELECT dataset, method, label, count(*) AS faces FROM faces GROUP BY ALL ORDER BY ALL")
    _deepshard(folder, "split", "pin", *TRAINED_ON, *fewer(SIZES[size].frames))
    _deepshard(folder, "split", "pin", *TESTED_ON)
    record = folder / "store" / "runs" / RUN / "run.json"
    if record.exists() and json.loads(record.read_text())["status"] == "finished":
        print(f"the run {RUN} is finished; remove {record.parent} to train again\n")
    elif record.exists():
        script = _shipped("training/run.py", folder)
        _run(folder, f"accelerate launch {script}", [*_ACCELERATE, script], "--resume", RUN)
    else:
        train = ["--config", _shipped("training/configs/demo.yaml", folder), "--name", RUN]
        train += ["--train", "f2f_train", "--val", "f2f_val", "--test", *(name for name, _ in SITUATIONS)]
        script = _shipped("training/run.py", folder)
        _run(folder, f"accelerate launch {script}", [*_ACCELERATE, script], *train, *overrides)
    _deepshard(folder, "results", "--run", RUN)
    results = _results(folder)
    _print(results, time.monotonic() - started)
    return results


def fewer(frames: int) -> list[str]:
    """What to tell f2f_train where the videos are so short that it would leave no real face."""
    return [] if frames > _DRAWN else ["--param", f"frames_per_video={frames // 2}"]


# accelerate's own defaults, said aloud: it warns about each that is not
_ACCELERATE = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no"),
]


def _shipped(name: str, folder: Path) -> str:
    """The path, from ``folder``, of a file that comes with deepshard."""
    return os.path.relpath(Path(__file__).parents[2] / name, folder)


def _deepshard(folder: Path, *words: str) -> None:
    _run(folder, "deepshard", [sys.executable, "-m", "deepshard"], *words)


def _run(folder: Path, shown: str, program: list[str], *words: str) -> None:
    print(f"$ {shown} {shlex.join(words)}", flush=True)
    status = subprocess.run([*program, *words], cwd=folder).returncode
    print(flush=True)
    if status:
        raise DemoError(f"`{shown} {shlex.join(words)}` ended with status {status} in {folder}; what it said is above")


def _results(folder: Path) -> list[Result]:
    words = [sys.executable, "-m", "deepshard", "results", "--run", RUN, "--json"]
    rows = [json.loads(line) for line in subprocess.check_output(words, cwd=folder, text=True).splitlines()]
    results = []
    for split, situation in SITUATIONS:
        by_level = {row["level"]: row for row in rows if row["split"] == split and row["faceless"] != "counted"}
        frame, video = by_level["frame"], by_level["video"]
        results.append(Result(split, situation, frame["frames"], video["videos"], frame["auc"], video["auc"]))
    return results


def _print(results: list[Result], seconds: float) -> None:
    print("What the detector learned from Face2Face and originals (AUC: 0.5 is guessing, 1 is perfect)\n")
    print(f"  {'':<55} {'frame AUC':>9} {'video AUC':>9} {'frames':>7} {'videos':>7}")
    for result in results:
        aucs = [f"{auc:9.3f}" if auc is not None else f"{'-':>9}" for auc in (result.frame_auc, result.video_auc)]
        print(f"  {result.situation:<55} {aucs[0]} {aucs[1]} {result.frames:>7,} {result.videos:>7,}")
    print(f"\nThe data is synthetic; these figures say nothing about real forgeries. ({seconds:.0f} s)")

"""The layout that DeepfakeBench reads: frames, masks and landmarks in folders, and the JSON files that list them.

What it expects is told by its public code (github.com/SCLBD/DeepfakeBench: training/dataset/abstract_dataset.py at
db3e348, get_test_metrics in its training/metrics and trainer), in our words:

* A path begins with a dot and is seen from where training is started; the file's name is a whole number. The mask is
  at the path with ``masks`` for ``frames``, the landmarks likewise with ``landmarks``, and .npy for .png.
* Frames of one video, for video-level figures, are those whose last folder has the same name. Thus FF++'s 000_003 of
  four methods is one video; here a folder is named METHOD__QUALITY__VIDEO, with the last number still at its end,
  which is where its IID detector looks for an identity.
* A video's label is a word that the configuration's label_dict turns into a number, see deepfakebench_lists.py.
"""

import io
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from shards.export import notes
from shards.export.deepfakebench_lists import (
    Groups,
    all_videos,
    file_of,
    folder_of,
    json_files,
    json_text,
    known_words,
    of_several_tracks,
)
from shards.export.files import batches, copy_faces
from shards.export.place import Place
from shards.export.sides import SIDES, ExportError, Side, check_sides
from shards.split import Split

JSON_FOLDER = "dataset_json"
LABELS = "label_dict.yaml"
POINTS = 81  # landmarks of its own preprocessing: the 68 of iBUG and 13 of the forehead
_NO_PLACE = {"weight": "weights", "role": "roles", "stream": "streams", "partner": "partners"}


def check(sides: Sequence[Side], options: dict[str, str]) -> None:
    """Raises ExportError for sides, or a ``root``, that its rules cannot reach."""
    for side in sides:
        if side.name not in SIDES:
            raise ExportError(
                f"DeepfakeBench knows train, val and test: write train={side.splits[0].name}, or what that split is for"
            )
    root = options["root"]
    if not root.startswith(".") or "frames" in root or "\\" in root:
        raise ExportError(
            f"the root {root!r} must begin with a dot, as ./datasets/NAME does, and not contain the word frames: "
            "DeepfakeBench looks for masks by replacing that word in a path"
        )
    check_sides(sides, shared=True)
    for _ in json_files(sides):
        pass


def write(place: Place, sides: Sequence[Side], options: dict[str, str], done: Callable[[int], None]) -> notes.Words:
    """Every face of every side, and the JSON files. ``done`` is told how many more faces there are."""
    several = of_several_tracks(sides)
    points: set[int] = set()
    for split in (split for side in sides for split in side.splits):
        for rows in batches(split):
            frames = _frames(split, rows, several)
            masks = [_beside(path, "masks") for path in frames]
            fits = all(path.endswith(".png") for path in frames)  # its rules find masks and landmarks of these alone
            jsons = copy_faces(place, split, rows, {"image": frames, **({"mask": masks} if fits else {})})
            for path, known in zip(frames, jsons, strict=True):
                if fits and known.get("landmarks"):
                    points.add(len(known["landmarks"]))
                    place.put(_beside(path, "landmarks").removesuffix("png") + "npy", _npy(known["landmarks"]))
            done(len(rows))
    made: dict[str, Groups] = {}
    for name, groups in json_files(sides):
        place.put(f"{JSON_FOLDER}/{name}.json", "".join(json_text(name, groups, options["root"])).encode())
        made[name] = {word: {side: {} for side in of} for word, of in groups.items()}
    words = {video.word: video.label for video in all_videos(sides)}
    lines = ["label_dict:", *(f"  {word}: {label}" for word, label in sorted(words.items()))]
    place.put(LABELS, "\n".join([*lines, ""]).encode())
    return _words(sides, options["root"], made, set(words), len(several), points)


def _frames(split: Split, rows: np.ndarray, several: set[str]) -> list[str]:
    """Where the frames of these rows lie, under the root."""
    names = ["sample_id", "video_id", "frame_index", "image_ext"]
    columns = split.table.select(names).take(pa.array(rows, pa.int64())).to_pydict().values()
    return [
        f"{folder_of(video, int(sample.rpartition('-')[2]) if video in several else None)}/{file_of(frame, ext)}"
        for sample, video, frame, ext in zip(*columns, strict=True)
    ]


def _beside(path: str, what: str) -> str:
    return path.replace("frames", what)


def _npy(landmarks: list[list[float]]) -> bytes:
    """Landmarks as np.load reads them: float32 [K,2], x and y in pixels of the frame's file."""
    file = io.BytesIO()
    np.save(file, np.array(landmarks, np.float32))
    return file.getvalue()


def _words(
    sides: Sequence[Side], root: str, made: dict[str, Groups], words: set[str], several: int, points: set[int]
) -> notes.Words:
    rows = []
    for name, groups in made.items():
        present = [side for side in SIDES if any(side in of for of in groups.values())]
        rows.append(f"| `{name}` | {', '.join(groups)} | {', '.join(present)} |")
    table = "\n".join(rows)
    names = {side: " ".join(s.name for of in sides if of.name == side for s in of.splits) or "..." for side in SIDES}
    load = f"""
Where DeepfakeBench lies, this folder must be `{root}` (a link will do). In `training/config/train_config.yaml` and
`test_config.yaml` set `lmdb: False` and `dataset_json_folder: {root}/{JSON_FOLDER}`, and have every line of
`{LABELS}` in their `label_dict`. Then name these where it wants a dataset:

| dataset | labels | has |
|---|---|---|
{table}

```
python training/train.py --detector_path training/config/detector/xception.yaml \\
    --train_dataset {names["train"]} --test_dataset {names["test"]}
```

A split has its own name, with all its faces, whatever dataset they are of. The names of datasets have all splits of a
side together; of FaceForensics++, FaceShifter and DeepFakeDetection `compression` in the configuration chooses among
what is here.

It is laid out as DeepfakeBench's public code reads it (training/dataset/abstract_dataset.py at db3e348), and tested by
those rules, not with DeepfakeBench itself.
"""
    said = [
        "DeepfakeBench reads train and test and nothing of val, and keeps the checkpoint that is best on its test "
        "sets. For an honest choice give your validation split to it as a test set: test=SPLIT.",
        "`frame_num` of its configuration cuts videos to that many frames, the first ones: set it to what the split "
        "has, or more.",
        "Faces are aligned and cropped by the recipe above, not by its preprocessing.",
        *notes.faceless_note(sides),
    ]
    counts = notes.extras(sides)
    lost = [f"{counts[name]:,} {what}" for name, what in _NO_PLACE.items() if counts[name]]
    if lost:
        said.append(f"It has no place for what the splits say beyond the label: {', '.join(lost)} are not here.")
    strange = sorted({ext for side in sides for split in side.splits for ext in _extensions(split)} - {"png"})
    if strange:
        said.append(
            f"Faces are stored as {', '.join(strange)}, and its rules find masks and landmarks of .png alone: none are "
            "here, and with_mask and with_landmark would give zeros."
        )
    elif counts["no mask"]:
        said.append(f"{counts['no mask']:,} fakes have no mask; with_mask gives zeros for them, as if they were real.")
    for count in sorted(points - {POINTS}):
        said.append(
            f"Landmarks are {count} points where its own preprocessing has {POINTS} (68 and 13 of the forehead)."
        )
    if several:
        said.append(
            f"{several:,} videos have faces of more than one person: each is a folder of its own (t0, t1, ...), so it "
            "counts as a video of its own."
        )
    mixed = [split.name for side in sides for split in side.splits if len(np.unique(split.codes("dataset"))) > 1]
    if mixed:
        said.append(f"{', '.join(mixed)}: of several datasets, which only under the split's own name are one test set.")
    unknown = sorted(words - known_words())
    if unknown:
        said.append(
            f"Its label_dict does not know {', '.join(unknown)}: add them from {LABELS}, or it refuses the file."
        )
    return notes.Words("Faces for DeepfakeBench", load, said)


def _extensions(split: Split) -> set[str]:
    codes, names = split.words("image_ext")
    return {names[code] for code in np.unique(codes)}

"""What DeepfakeBench's JSON files list: videos under the words and names that it knows, and where their frames lie.

{NAME: {word: {train, val, test: {video: {"label": word, "frames": [paths]}}}}}, with a compression between side and
video where NAME is one of COMPRESSED (preprocessing/rearrange.py at d1b058d; the words are the label_dict of
training/config/train_config.yaml). Each dataset has the file that its own preprocessing would make, and each split one
of its own, because a test set there is one file.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from shards.export.sides import SIDES, Clip, ExportError, Side, clips
from shards.split import Split

COMPRESSED = ("FaceForensics++", "FaceShifter", "DeepFakeDetection", "FF-DF", "FF-F2F", "FF-FS", "FF-NT")


@dataclass(frozen=True)
class Known:
    """A dataset that DeepfakeBench knows. ``real``, ``fake``: its words; ``methods``: for those fakes another word."""

    json: str
    real: str
    fake: str = ""
    methods: dict[str, str] = field(default_factory=dict)

    def word(self, method: str, label: int) -> str | None:
        """The label of a video, None if there is no word for it."""
        return self.real if label == 0 else self.methods.get(method, self.fake) or None


_FF = {"Deepfakes": "FF-DF", "Face2Face": "FF-F2F", "FaceSwap": "FF-FS", "NeuralTextures": "FF-NT"}
KNOWN = {
    "ffpp": Known("FaceForensics++", "FF-real", methods={**_FF, "FaceShifter": "FF-FH"}),
    "dfd": Known("DeepFakeDetection", "DFD_real", "DFD_fake"),
    "celebdf-v1": Known("Celeb-DF-v1", "CelebDFv1_real", "CelebDFv1_fake"),
    "celebdf-v2": Known("Celeb-DF-v2", "CelebDFv2_real", "CelebDFv2_fake"),
    "dfdcp": Known("DFDCP", "DFDCP_Real", methods={"method_A": "DFDCP_FakeA", "method_B": "DFDCP_FakeB"}),
    "dfdc": Known("DFDC", "DFDC_Real", "DFDC_Fake"),
    "deeperforensics": Known("DeeperForensics-1.0", "DF_real", "DF_fake"),
    "uadfv": Known("UADFV", "UADFV_Real", "UADFV_Fake"),
}


@dataclass(frozen=True)
class Video:
    """A folder of frames. ``dataset``: ours; ``word``: its label; ``folder``: under the root, ``rows``: of ``split``,
    int64, in the order of time."""

    dataset: str
    method: str
    quality: str
    word: str
    label: int
    folder: str
    split: Split
    rows: np.ndarray

    @property
    def name(self) -> str:
        """METHOD__QUALITY__VIDEO."""
        return self.folder.rpartition("/")[2]

    def files(self) -> list[str]:
        """Names of its frames."""
        columns = self.split.table.select(["frame_index", "image_ext"]).take(pa.array(self.rows, pa.int64()))
        return [file_of(frame, ext) for frame, ext in zip(*columns.to_pydict().values(), strict=True)]


# {word: {side: {compression: {name of the video: videos of several splits}}}}; one compression, "", if there are none
Groups = dict[str, dict[str, dict[str, dict[str, list[Video]]]]]


def _videos(split: Split, clip: Clip, several: bool) -> Iterator[Video]:
    """The folders of a clip's faces: one, or one for each track. Raises ExportError for a label without a word."""
    dataset, method, quality, _ = clip.video_id.split("/")
    labels = set(split.labels[clip.rows].tolist())
    known = KNOWN.get(dataset) or Known(dataset, f"{dataset}_Real", f"{dataset}_Fake")
    words = {known.word(method, label) for label in labels}
    if len(words) > 1 or None in words:
        said = "both real and fake" if len(words) > 1 else "fake, and it is of originals"
        raise ExportError(
            f"{clip.video_id} is {said}: DeepfakeBench has no word for that; correct the label or leave it out"
        )
    rows = np.arange(clip.start, clip.stop)
    tracks = _tracks(split.sample_ids(rows)) if several else np.zeros(len(rows), int)
    for track in np.unique(tracks).tolist():
        folder = folder_of(clip.video_id, track if several else None)
        of_track = rows[tracks == track]
        yield Video(dataset, method, quality, words.copy().pop(), labels.copy().pop(), folder, split, of_track)


def all_videos(sides: Sequence[Side]) -> Iterator[Video]:
    """The videos of every split of every side; one that is in two splits comes twice."""
    several = of_several_tracks(sides)
    for split in (split for side in sides for split in side.splits):
        for clip in clips(split):
            yield from _videos(split, clip, clip.video_id in several)


def json_files(sides: Sequence[Side]) -> Iterator[tuple[str, Groups]]:
    """The JSON files, (NAME, groups): those of the datasets, by the names that it knows, and one of each split.

    Raises ExportError where two would have one name, or a video two labels.
    """
    several = of_several_tracks(sides)
    of_datasets: dict[str, Groups] = {}
    of_splits: dict[str, Groups] = {}
    hashes: dict[str, str] = {}
    words: dict[str, str] = {}
    for side in sides:
        for split in side.splits:
            if hashes.setdefault(split.name, split.hash) != split.hash:
                raise ExportError(
                    f"there are two splits {split.name}: pin one under another name, or export them apart"
                )
            own = of_splits.setdefault(split.name, {})
            for clip in clips(split):
                for video in _videos(split, clip, clip.video_id in several):
                    if words.setdefault(video.folder, video.word) != video.word:
                        raise ExportError(
                            f"{clip.video_id} is real in one split and fake in another: pin both again, on one catalog"
                        )
                    _add(own, side.name, "", video)
                    groups = of_datasets.setdefault(video.dataset, {})
                    compressed = video.dataset in KNOWN and KNOWN[video.dataset].json in COMPRESSED
                    _add(groups, side.name, video.quality if compressed else "", video)
    found = dict(of_splits)
    for dataset, groups in of_datasets.items():
        for name, of_file in _names(dataset, groups):
            if name in found:
                raise ExportError(f"two JSON files would be called {name}: pin the split {name} under another name")
            found[name] = {word: groups[word] for word in of_file}
    for name in found:
        if name in of_splits and (name in COMPRESSED or name.removesuffix("_c40") in COMPRESSED):
            raise ExportError(f"DeepfakeBench reads {name} in a way of its own: pin that split under another name")
    yield from sorted(found.items())


def _add(groups: Groups, side: str, compression: str, video: Video) -> None:
    of_side = groups.setdefault(video.word, {}).setdefault(side, {}).setdefault(compression, {})
    of_side.setdefault(video.name, []).append(video)


def _names(dataset: str, groups: Groups) -> Iterator[tuple[str, list[str]]]:
    """The JSON files of a dataset with the words in each: FF++'s methods have one each beside the one of four."""
    if dataset != "ffpp":
        yield KNOWN[dataset].json if dataset in KNOWN else dataset, list(groups)
        return
    real = [word for word in groups if word == "FF-real"]
    four = [word for word in _FF.values() if word in groups]
    if four or "FF-FH" not in groups:
        yield "FaceForensics++", [*real, *four]
    for word in four:
        yield word, [*real, word]
    if "FF-FH" in groups:
        yield "FaceShifter", [*real, "FF-FH"]


def json_text(name: str, groups: Groups, root: str) -> Iterator[str]:
    """A JSON file, video by video. Every group has all sides, and every side all compressions of the file."""
    compressions = sorted({level for of in groups.values() for levels in of.values() for level in levels})
    yield f"{{{json.dumps(name)}: {{"
    for number, word in enumerate(sorted(groups)):
        yield f"{', ' if number else ''}\n {json.dumps(word)}: {{"
        for place, side in enumerate(SIDES):
            levels = groups[word].get(side, {})
            yield f"{', ' if place else ''}\n  {json.dumps(side)}: {{"
            for index, level in enumerate(compressions):
                yield (", " if index else "") + (f"{json.dumps(level)}: {{" if level else "")
                for at, video_name in enumerate(sorted(levels.get(level, {}))):
                    entry = _entry(levels[level][video_name], root)
                    yield f"{',' if at else ''}\n   {json.dumps(video_name)}: {json.dumps(entry)}"
                yield "}" if level else ""
            yield "}"
        yield "}"
    yield "}}\n"


def _entry(videos: list[Video], root: str) -> dict[str, Any]:
    files = sorted({file for video in videos for file in video.files()})
    return {"label": videos[0].word, "frames": [f"{root}/{videos[0].folder}/{file}" for file in files]}


def folder_of(video_id: str, track: int | None) -> str:
    """Where the frames of a video, or of a track of it, lie. No part of it but one contains the word frames."""
    dataset, method, quality, name = video_id.replace("frames", "fr%61mes").split("/")
    parts = [method, quality, *([] if track is None else [f"t{track}"]), name]
    return f"{dataset}/{method}/{quality}/frames/{'__'.join(parts)}"


def file_of(frame: int, ext: str) -> str:
    return f"{frame:06d}.{ext}"


def of_several_tracks(sides: Sequence[Side]) -> set[str]:
    """Videos of which more than one track is exported: each becomes a folder, as a frame has one file in it."""
    tracks: dict[str, int] = {}
    several = set()
    for split in (split for side in sides for split in side.splits):
        for clip in clips(split):
            for track in np.unique(_tracks(split.sample_ids(range(clip.start, clip.stop)))).tolist():
                if tracks.setdefault(clip.video_id, track) != track:
                    several.add(clip.video_id)
    return several


def _tracks(sample_ids: list[str]) -> np.ndarray:
    return np.array([int(sample.rpartition("-")[2]) for sample in sample_ids])


def known_words() -> set[str]:
    """The words of its label_dict that a dataset of ours may have."""
    return {word for known in KNOWN.values() for word in (known.real, known.fake, *known.methods.values()) if word}

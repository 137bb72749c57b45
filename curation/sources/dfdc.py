"""DFDC: the training parts with their ``metadata.json``, and the validation and public test clips with ``labels.csv``.

Which generator made a fake was never published (autoencoders, FSGAN, NTH, MM/NN, StyleGAN: Dolhansky et al. 2020,
section 4), so all fakes are one method of category "mixed", and who is in a clip was not published either. Names are
random; the lists that lie beside the videos are the only ones, so what an absent part held is counted, not named.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from curation.sources.error import SourceError, few
from curation.sources.listing import (
    Files,
    find_file,
    make_video,
    no_layout,
    of_fake,
    of_real,
    read_files,
    read_json,
    read_rows,
    wrong_list,
)
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import find_folder, list_folder, open_root
from curation.sources.video import Video, identify

NAME = "dfdc"
DATASET = "dfdc"
LICENCE = "DFDC dataset terms (Meta AI), https://ai.meta.com/datasets/dfdc: no redistribution"

PARTS = 50  # dfdc_train_part_0 .. 49
TRAIN = {"REAL": 19_154, "FAKE": 100_000}  # published counts; some pages print 119,197 videos in all
TEST = {"REAL": 2_500, "FAKE": 2_500}
VAL = 4_000  # no count by label was published with the data
METHODS = {"REAL": "original", "FAKE": "DFDC"}
LABELLED = {"validation": "val", "val": "val", "test": "test"}  # folder with a labels.csv: official split

_PART = re.compile(r"dfdc_train_part_(\d{1,2})", re.ASCII | re.IGNORECASE)


@dataclass
class Part:
    """A folder with its list: ``labels`` and ``originals`` by file name, as the list has them."""

    path: str
    split: str
    files: Files
    labels: dict[str, str]
    originals: dict[str, str] = field(default_factory=dict)

    def shown(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like DFDC (0 to 1), and why."""
    root = place_of(root)
    parts = _part_folders(root)
    if parts:
        return 1.0, f"it holds {few(parts.values(), 2)}"
    if find_file(root, "metadata.json") and _is_metadata(root / "metadata.json"):
        return 0.9, "it holds DFDC's metadata.json"
    labelled = [name for name in LABELLED if find_file(root, f"{name}/labels.csv")]
    return (0.6, f"it holds {labelled[0]}/labels.csv") if labelled else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read DFDC: ``dfdc_train_part_N/`` (also in ``train/``), ``validation/`` and ``test/``; or one part alone.

    Raises LayoutError for another tree, SourceError for a list that is missing or contradicts itself.
    """
    root = open_root(root, NAME)
    folders = _part_folders(root)
    alone = not folders and find_file(root, "metadata.json") is not None
    parts = [_read_part(root, path) for path in ([""] if alone else folders.values())]
    warnings = []
    for folder, split in LABELLED.items():
        path = None if alone else find_folder(root, "", folder)
        if path and not find_file(root, f"{path}/labels.csv"):
            warnings.append(f"{path}/ has no labels.csv and is not read: put the published list there")
        elif path:
            parts.append(_read_labelled(root, path, split))
    if not any(part.labels for part in parts):
        raise no_layout(
            "DFDC",
            root,
            "dfdc_train_part_N/*.mp4 with metadata.json (N: 0 to 49, also in train/), and test/ or validation/ with "
            "labels.csv",
        )
    _check_unique(parts)
    absent = sorted(set(range(PARTS)) - set(folders))
    warnings += [
        f"{part.path}/labels.csv lists {len(part.labels):,} videos, published are {VAL:,}"
        for part in parts
        if part.split == "val" and len(part.labels) != VAL
    ]
    if folders and absent:
        warnings.append(f"no folder for {len(absent)} of the {PARTS} training parts: {few(map(str, absent), 10)}")
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=[video for part in parts for video in _videos(part, name)],
        rows=_rows(parts, whole=not alone),
        notes=["DFDC publishes neither the people in its clips nor the method of a fake"],
        warnings=warnings,
    )


def _part_folders(root: Place) -> dict[int, str]:
    """The training parts by number."""
    found: dict[int, str] = {}
    train = find_folder(root, "", "train")
    for entry in [entry for folder in ("", train) if folder is not None for entry in list_folder(root, folder)]:
        match = _PART.fullmatch(entry.name)
        if not match or entry.kind != "folder" or int(match[1]) >= PARTS:
            continue
        if int(match[1]) in found:
            raise SourceError(f"{few([found[int(match[1])], entry.path])} are one part of DFDC: keep one of them.")
        found[int(match[1])] = entry.path
    return dict(sorted(found.items()))


def _is_metadata(file: Place) -> bool:
    try:
        entries = read_json(file).values()
    except SourceError:  # another dataset's file of this name
        return False
    return bool(entries) and all(isinstance(entry, dict) and entry.get("label") in METHODS for entry in entries)


def _read_part(root: Place, path: str) -> Part:
    file = find_file(root, f"{path}/metadata.json" if path else "metadata.json")
    if file is None:
        raise SourceError(f"{root / path} has no metadata.json, which alone tells real from fake: put it there.")
    labels, originals = {}, {}
    for name, said in read_json(file).items():
        label = said.get("label") if isinstance(said, dict) else None
        if label not in METHODS:
            raise wrong_list(file, f'{name} is labelled {label!r}, not "REAL" or "FAKE"')
        labels[name] = label
        if label == "FAKE" and isinstance(said.get("original"), str):
            originals[name] = said["original"]
    return Part(path, "train", _files(root, path, "metadata.json"), labels, originals)


def _read_labelled(root: Place, path: str, split: str) -> Part:
    file = root / path / "labels.csv"
    (_, header), *rows = read_rows(file) or [(0, [])]
    if header[:2] != ["filename", "label"]:
        raise wrong_list(file, "its first line does not begin with filename,label")
    labels = {}
    for line, cells in rows:
        label = {"0": "REAL", "1": "FAKE"}.get(cells[1] if len(cells) > 1 else "")
        if label is None or cells[0] in labels:
            raise wrong_list(file, f"{few(cells)} is not a new name with 0 (real) or 1 (fake)", line)
        labels[cells[0]] = label
    return Part(path, split, _files(root, path, "labels.csv", "metadata.json"), labels)


def _files(root: Place, path: str, *lists: str) -> Files:
    files = read_files(root, path)
    return Files(files.clips, [stranger for stranger in files.strangers if stranger not in lists])


def _check_unique(parts: list[Part]) -> None:
    seen: dict[str, Part] = {}
    for part in parts:
        for name in part.files.clips:
            other = seen.setdefault(name, part)
            if other is not part:
                files = few([other.shown(f"{name}.mp4"), part.shown(f"{name}.mp4")])
                raise SourceError(f"{files} have one name, and DFDC's names are unique: keep one of them.")


def _videos(part: Part, source: str) -> list[Video]:
    return [
        make_video(DATASET, METHODS[label], name, clip, source, **_describe(part, label, name))
        for name, clip in part.files.clips.items()
        if (label := part.labels.get(f"{name}.mp4"))
    ]


def _describe(part: Part, label: str, name: str) -> dict[str, Any]:
    said = {"raw_label": label, "official_split": part.split}
    if label == "REAL":
        return said | of_real()
    original = part.originals.get(f"{name}.mp4")
    of = identify(DATASET, METHODS["REAL"], "native", original.removesuffix(".mp4")) if original else None
    return {**said, **of_fake("mixed"), "original_video": of}


def _rows(parts: list[Part], whole: bool) -> list[CompletenessRow]:
    """One row for each split and label; what no list names is in a row of its own, since nothing tells its label."""
    rows = []
    for split in dict.fromkeys(part.split for part in parts):
        own = [part for part in parts if part.split == split]
        published = {"train": TRAIN, "test": TEST}.get(split, {}) if whole else {}
        for label, method in METHODS.items():
            listed = [(part, name) for part in own for name, said in part.labels.items() if said == label]
            missing = [part.shown(name) for part, name in listed if name.removesuffix(".mp4") not in part.files.clips]
            counts = published.get(label, len(listed)), len(listed) - len(missing)
            rows.append(CompletenessRow(DATASET, method, "native", *counts, sorted(missing), part=split))
        strange = [part.shown(stranger) for part in own for stranger in part.files.strangers]
        strange += [part.shown(f"{n}.mp4") for part in own for n in part.files.clips if f"{n}.mp4" not in part.labels]
        if strange:
            rows.append(CompletenessRow(DATASET, "unlisted", "native", 0, 0, unexpected=sorted(strange), part=split))
    return rows

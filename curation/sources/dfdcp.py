"""DFDC preview (DFDCP): real clips of actors and their swaps by two methods, as ``dataset.json`` lists them.

The list is keyed by path (``method_A/1795659/1795659_B/2059066_1795659_B_001.mp4``) and tells label, split and people:
``target_id`` is whose footage it is, ``swapped_id`` whose face is shown (Dolhansky et al. 2019; the meaning of both is
unchecked against the dataset's own pages). ``source_video`` names a recording, not a clip: an original is given only
where the list has a single real clip of that recording.
"""

from collections import defaultdict
from typing import Any

from curation.sources.error import few
from curation.sources.listing import (
    below,
    find_file,
    make_video,
    no_layout,
    of_fake,
    of_real,
    read_json,
    wrong_list,
)
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import Entry, find_folder, open_root, spell
from curation.sources.video import Video, identify

NAME = "dfdcp"
DATASET = "dfdcp"
LICENCE = "DFDC preview dataset terms (Meta AI), https://ai.meta.com/datasets/dfdc: no redistribution"
LIST = "dataset.json"

FOLDERS = {"original_videos": "original", "method_A": "method_A", "method_B": "method_B"}
LABELS = {"real": 0, "fake": 1}
COUNTS = {"real": 1_131, "fake": 4_119}  # published; by method nothing was


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like the DFDC preview (0 to 1), and why."""
    root = place_of(root)
    found = [folder for folder in FOLDERS if find_folder(root, "", folder)]
    return (1.0, f"it holds {few(found)}") if len(found) > 1 and find_file(root, LIST) else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read a DFDC preview tree: ``dataset.json`` and the folders that its paths begin with.

    Raises LayoutError for another tree, SourceError for a list that is missing or says what the folders do not.
    """
    root = open_root(root, NAME)
    folders = {folder: path for folder in FOLDERS if (path := find_folder(root, "", folder))}
    file = find_file(root, LIST)
    if file is None or not folders:
        raise no_layout(
            "the DFDC preview",
            root,
            f"{LIST} beside original_videos/, method_A/ and method_B/ (the folder dfdc_preview_set)",
        )
    listed = _read_list(file)
    there = {f"{folder}/{at}": entry for folder, path in folders.items() for at, entry in below(root, path, 3).items()}
    found = {path: entry for path, entry in there.items() if path in listed and entry.kind == "file"}
    rows = []
    for folder, method in FOLDERS.items():
        paths = [path for path in listed if path.startswith(f"{folder}/")]
        missing = sorted(path for path in paths if path not in found)
        odd = sorted(path for path in there if path.startswith(f"{folder}/") and path not in found)
        counts = len(paths), len(paths) - len(missing)
        rows.append(CompletenessRow(DATASET, method, "native", *counts, missing, odd))
    warnings = [f"no folder {folder}" for folder in FOLDERS if folder not in folders]
    for label, count in COUNTS.items():
        lists = sum(said["label"] == label for said in listed.values())
        if lists != count:
            warnings.append(f"{LIST} lists {lists:,} {label} videos, published are {count:,}")
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=_videos(listed, found, name),
        rows=rows,
        warnings=warnings,
    )


def _read_list(file: Place) -> dict[str, dict[str, Any]]:
    listed = {}
    for path, said in read_json(file).items():
        folder = path.split("/")[0]
        label = said.get("label") if isinstance(said, dict) else None
        if folder not in FOLDERS or label not in LABELS:
            raise wrong_list(file, f"{path} is labelled {label!r}; wanted are real and fake in {few(FOLDERS)}")
        if (label == "real") != (FOLDERS[folder] == "original"):
            raise wrong_list(file, f"{path} is labelled {label}, which contradicts its folder")
        if said.get("set") not in ("train", "test"):
            raise wrong_list(file, f"{path} is in the set {said.get('set')!r}, neither train nor test")
        listed[spell(path)] = said
    return listed


def _videos(listed: dict[str, dict[str, Any]], found: dict[str, Entry], source: str) -> list[Video]:
    recordings = defaultdict(list)
    for path, said in listed.items():
        if said["label"] == "real":
            recordings[_name(path).rpartition("/")[2].rpartition("_")[0]].append(path)
    videos = []
    for path, entry in found.items():
        said = listed[path]
        method = FOLDERS[path.split("/")[0]]
        target, swapped = _person(said.get("target_id")), _person(said.get("swapped_id"))
        if method == "original":
            fields = of_real(target)
        else:
            originals = recordings.get(str(said.get("source_video")), [])
            original = identify(DATASET, "original", "native", _name(originals[0])) if len(originals) == 1 else None
            fields = {**of_fake("swap", target, swapped), "original_video": original}
        videos.append(
            make_video(
                DATASET,
                method,
                _name(path),
                entry,
                source,
                raw_label=said["label"],
                official_split=said["set"],
                **fields,
            )
        )
    return videos


def _name(path: str) -> str:
    """A listed path without its folder and extension: unique, as its last part alone need not be."""
    return path.partition("/")[2].removesuffix(".mp4")


def _person(identity: Any) -> str | None:
    return None if identity in (None, "") else f"{DATASET}:{identity}"

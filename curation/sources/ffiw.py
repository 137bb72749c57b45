"""FFIW-10K: scenes of several people, some of whose faces were swapped, and a mask video for each fake.

``source`` is real and ``target`` fake (README of tfzhou/FFIW; the test part is an archive of its own with the same
folders). Which real video a fake was made from, how files are called and counts by split were not published: names are
taken as they are, and 10,000 fakes is all that is known. A mask has its fake's name *(unchecked)*.
"""

from typing import Any

from curation.sources.listing import Files, make_video, no_layout, of_fake, of_real, read_files
from curation.sources.published import SPLITS
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import VIDEO_EXTENSIONS, find_folder, list_folder, open_root
from curation.sources.video import Video

NAME = "ffiw"
DATASET = "ffiw"
LICENCE = "FFIW-10K terms of use, https://github.com/tfzhou/FFIW: research only, no redistribution"
FOLDERS = {"source": "original", "target": "FFIW"}
MASKS = "target_mask"
TOTAL = 10_000


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like FFIW-10K (0 to 1), and why."""
    root = place_of(root)
    both = [folder for folder in FOLDERS if _splits(root, folder)]
    masks = find_folder(root, "", MASKS)
    score = 0.0 if len(both) < 2 else 1.0 if masks else 0.7
    return score, f"it holds {', '.join([*both, *([MASKS] if masks else [])])}" if score else ""


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read an FFIW-10K tree: ``{source,target,target_mask}/{train,val,test}``, with or without ``videos/`` below.

    Raises LayoutError for another tree.
    """
    root = open_root(root, NAME)
    read = {
        (folder, split): read_files(root, path) for folder in FOLDERS for split, path in _splits(root, folder).items()
    }
    if not any(files.clips for files in read.values()):
        raise no_layout("FFIW-10K", root, "source/{train,val,test}/*.mp4 and target/{train,val,test}/*.mp4")
    masks = {split: _masks(root, path) for split, path in _splits(root, MASKS).items()}
    videos, rows = [], []
    for (folder, split), files in read.items():
        own = masks.get(split, {}) if folder == "target" else {}
        videos += [_video(folder, split, stem, files, own, name) for stem in files.clips]
        row = CompletenessRow(
            DATASET, FOLDERS[folder], "native", None, len(files.clips), [], sorted(files.strangers), split
        )
        rows.append(row)
        if folder == "target" and split in masks:
            missing = sorted(stem for stem in files.clips if stem not in own)
            counts = len(files.clips), len(files.clips) - len(missing)
            odd = sorted(path.rpartition("/")[2] for stem, path in own.items() if stem not in files.clips)
            rows.append(CompletenessRow(DATASET, FOLDERS[folder], "masks", *counts, missing, odd, split))
    notes = [f"{sum(video.label for video in videos):,} fakes; {TOTAL:,} were published, without counts by split"]
    if not masks:
        notes.append(
            "no masks: scenes hold several people, and without masks the largest face need not be the swapped one"
        )
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=videos,
        rows=rows,
        notes=notes,
        warnings=[f"no folder {folder}" for folder in FOLDERS if folder not in {key[0] for key in read}],
    )


def _splits(root: Place, folder: str) -> dict[str, str]:
    path = find_folder(root, "", folder)
    return {split: found for split in SPLITS if path and (found := find_folder(root, path, split))}


def _masks(root: Place, path: str) -> dict[str, str]:
    """Masks by the name of their fake: videos, or folders of images."""
    path = find_folder(root, path, "videos") or path
    return {
        entry.name if entry.kind == "folder" else entry.stem: entry.path
        for entry in list_folder(root, path)
        if entry.kind == "folder" or entry.extension.lower() in VIDEO_EXTENSIONS
    }


def _video(folder: str, split: str, stem: str, files: Files, masks: dict[str, str], source: str) -> Video:
    said: dict[str, Any] = of_fake("swap") if folder == "target" else of_real()
    said |= {"raw_label": folder, "official_split": split, "mask_path": masks.get(stem)}
    return make_video(DATASET, FOLDERS[folder], f"{split}/{stem}", files.clips[stem], source, **said)

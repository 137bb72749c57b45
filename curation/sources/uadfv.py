"""UADFV: 49 real videos and a FakeApp swap of each, ``real/0000.mp4`` and ``fake/0000_fake.mp4``.

A fake carries its original's number (Yang, Li and Lyu 2019: each fake was made from one of the real videos). Counts are
published, a list of names is not: a name is missed where its counterpart is there. There is no official split.
"""

import re

from curation.sources.listing import Files, make_video, no_layout, of_fake, of_real, read_files
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import Entry, find_folder, list_folder, open_root
from curation.sources.video import Video, identify

NAME = "uadfv"
DATASET = "uadfv"
LICENCE = "UADFV request form (University at Albany): research only, no redistribution"
COUNT = 49  # of each
FOLDERS = {"real": "original", "fake": "FakeApp"}

_NAMES = {"real": re.compile(r"(?P<number>\d{4})", re.ASCII), "fake": re.compile(r"(?P<number>\d{4})_fake", re.ASCII)}


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like UADFV (0 to 1), and why: real/ and fake/ alone would be anybody's."""
    root = place_of(root)
    found = {folder: path for folder in FOLDERS if (path := find_folder(root, "", folder))}
    clips = [
        entry.path
        for folder, path in found.items()
        for at in (path, find_folder(root, path, "videos"))
        if at is not None
        for entry in list_folder(root, at)
        if entry.extension == ".mp4" and _NAMES[folder].fullmatch(entry.stem)
    ]
    return (0.8, f"it holds {clips[0]}") if len(found) == 2 and clips else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read a UADFV tree. Raises LayoutError for another one."""
    root = open_root(root, NAME)
    read = {folder: _read(root, folder, path) for folder in FOLDERS if (path := find_folder(root, "", folder))}
    if not any(files.clips for files in read.values()):
        raise no_layout("UADFV", root, "real/NNNN.mp4 and fake/NNNN_fake.mp4 (also one level deeper, in videos/)")
    numbers = {_number(folder, clip) for folder, files in read.items() for clip in files.clips}
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=[
            _video(folder, clip, entry, name) for folder, files in read.items() for clip, entry in files.clips.items()
        ],
        rows=[_row(folder, read.get(folder, Files({}, [])), numbers) for folder in FOLDERS],
        warnings=[f"no folder {folder}" for folder in FOLDERS if folder not in read],
    )


def _number(folder: str, name: str) -> str:
    return _NAMES[folder].fullmatch(name)["number"]


def _read(root: Place, folder: str, path: str) -> Files:
    files = read_files(root, path)
    odd = [entry.described() for name, entry in files.clips.items() if not _NAMES[folder].fullmatch(name)]
    clips = {name: entry for name, entry in files.clips.items() if _NAMES[folder].fullmatch(name)}
    return Files(clips, files.strangers + odd)


def _video(folder: str, name: str, clip: Entry, source: str) -> Video:
    said = of_real()
    if folder == "fake":
        said = {**of_fake("swap"), "original_video": identify(DATASET, "original", "native", _number(folder, name))}
    return make_video(DATASET, FOLDERS[folder], name, clip, source, raw_label=folder, **said)


def _row(folder: str, files: Files, numbers: set[str]) -> CompletenessRow:
    there = {_number(folder, name) for name in files.clips}
    missing = sorted(f"{number}{'_fake' if folder == 'fake' else ''}.mp4" for number in numbers - there)
    strangers = sorted(files.strangers)
    return CompletenessRow(DATASET, FOLDERS[folder], "native", COUNT, len(files.clips), missing, strangers)

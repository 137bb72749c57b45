"""DeeperForensics-1.0: 1000 FF++ sequences with the faces of paid actors, plain and under ten kinds of distortion.

``<target>_<actor>.mp4`` shows the actor's face in FF++'s sequence (EndlessSora/DeeperForensics-1.0, dataset/README.md,
"Manipulation video names"). The real class is FF++'s c23 originals and not the actors' videos in ``source_videos``.
Targets are 000..999, once in each folder; which actor goes with which was published only in the lists of the archive.
"""

import re
from dataclasses import dataclass

from curation.sources.error import few
from curation.sources.listing import (
    Files,
    file_names,
    find_file,
    make_video,
    no_layout,
    of_fake,
    read_files,
    read_lines,
    wrong_list,
)
from curation.sources.published import SPLITS
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import find_folder, list_folder, open_root
from curation.sources.video import Video, identify

NAME = "deeperforensics"
DATASET = "deeperforensics"
FOOTAGE = "ffpp"  # the targets are FF++'s sequences, and so are their people
LICENCE = "DeeperForensics-1.0 terms of use: non-commercial research only, no redistribution"
MANIPULATED = "manipulated_videos"

PLAIN = ("end_to_end", "reenact_postprocess")
DISTORTED = (  # of end_to_end, name for name
    *(f"end_to_end_level_{level}" for level in range(1, 6)),
    "end_to_end_random_level",
    *(f"end_to_end_mix_{count}_distortions" for count in (2, 3, 4)),
)
FOLDERS = (*PLAIN, *DISTORTED)
COUNT = 1000  # in each folder

_NAME = re.compile(r"(?P<target>\d{3})_(?P<source>[MW]\d{3})", re.ASCII)


@dataclass(frozen=True)
class Names:
    """What the archive's lists say: every name of a folder (where listed), and the split of a name."""

    listed: dict[str, set[str]]
    splits: dict[str, str]

    def of(self, folder: str) -> set[str] | None:
        """All names of a folder, from its own list or (of ``end_to_end``) from whole splits; None: not known."""
        whole = folder != "reenact_postprocess" and len(self.splits) == COUNT
        return self.listed.get(folder, set(self.splits) if whole else None)


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like DeeperForensics-1.0 (0 to 1), and why."""
    root = place_of(root)
    path = find_folder(root, "", MANIPULATED)
    found = [folder for folder in FOLDERS if find_folder(root, path, folder)] if path else []
    return (1.0, f"it holds {MANIPULATED}/{found[0]}") if found else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read a DeeperForensics-1.0 tree. A distortion is the video's quality, ``native`` where there is none.

    Raises LayoutError for another tree, SourceError for a list that is not one.
    """
    root = open_root(root, NAME)
    path = find_folder(root, "", MANIPULATED)
    folders = {folder: found for folder in FOLDERS if path and (found := find_folder(root, path, folder))}
    read = {folder: _read(root, found) for folder, found in folders.items()}
    if not any(files.clips for files in read.values()):
        looked_for = f"{MANIPULATED}/<folder>/TTT_MNNN.mp4 (folder: {few(FOLDERS, 11)})"
        raise no_layout("DeeperForensics-1.0", root, looked_for)
    names = _read_lists(root)
    read = {folder: _only(files, names.of(folder)) for folder, files in read.items()}
    warnings = [f"no folder {MANIPULATED}/{folder}" for folder in FOLDERS if folder not in folders]
    unknown = [entry.described() for entry in list_folder(root, path) if entry.name.lower() not in FOLDERS]
    if unknown:
        warnings.append(f"not part of the published layout and not read: {few(unknown, 8)}")
    notes = ["the real class is FF++'s originals in c23: `deepshard scan faceforensics` reads them"]
    if find_folder(root, "", "source_videos"):
        notes.append("source_videos/ is not read: its videos of actors are not the real class")
    if not names.splits:
        notes.append("no lists/splits/{train,val,test}.txt: no official split")
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=[video for folder, files in read.items() for video in _videos(folder, files, names, name)],
        rows=[_row(folder, read, names) for folder in read],
        notes=notes,
        warnings=warnings,
    )


def method_and_quality(folder: str) -> tuple[str, str]:
    """``end_to_end_level_1`` is the method ``end_to_end`` in the quality ``level_1``."""
    return (folder, "native") if folder in PLAIN else ("end_to_end", folder.removeprefix("end_to_end_"))


def _read(root: Place, path: str) -> Files:
    files = read_files(root, path)
    odd = {stem: entry for stem, entry in files.clips.items() if not _NAME.fullmatch(stem)}
    clips = {stem: entry for stem, entry in files.clips.items() if stem not in odd}
    return Files(clips, files.strangers + [entry.described() for entry in odd.values()])


def _only(files: Files, names: set[str] | None) -> Files:
    """Without the clips whose names are not published; those become strangers."""
    if names is None:
        return files
    odd = [entry.described() for name, entry in files.clips.items() if name not in names]
    return Files({name: entry for name, entry in files.clips.items() if name in names}, files.strangers + odd)


def _read_lists(root: Place) -> Names:
    listed = {
        folder: set(_read_list(file))
        for folder in FOLDERS
        if (file := find_file(root, f"lists/manipulated_videos_lists/manipulated_videos_{folder}_list.txt"))
    }
    splits: dict[str, str] = {}
    for split in SPLITS:
        file = find_file(root, f"lists/splits/{split}.txt")
        for video in _read_list(file) if file else ():
            if splits.setdefault(video, split) != split:
                raise wrong_list(file, f"{video} is in {splits[video]}.txt too")
    return Names(listed, splits)


def _read_list(file: Place) -> list[str]:
    names = []
    for number, line in read_lines(file):
        name = line.rpartition("/")[2].removesuffix(".mp4")
        if not _NAME.fullmatch(name):
            raise wrong_list(file, f'{line!r} is not like "980_W010.mp4"', number)
        names.append(name)
    return names


def _videos(folder: str, files: Files, names: Names, source: str) -> list[Video]:
    method, quality = method_and_quality(folder)
    videos = []
    for name, clip in files.clips.items():
        target, actor = name.split("_")
        videos.append(
            make_video(
                DATASET,
                method,
                name,
                clip,
                source,
                quality=quality,
                raw_label=MANIPULATED,
                official_split=names.splits.get(name),
                original_video=identify(FOOTAGE, "original", "c23", target),
                **of_fake("swap", f"{FOOTAGE}:{target}", f"{DATASET}:{actor}"),
            )
        )
    return videos


def _row(folder: str, read: dict[str, Files], names: Names) -> CompletenessRow:
    """Missing by name where the lists or a sister folder tell the name, else as a number.

    Distorted videos were made of ``end_to_end``, name for name, so these folders tell of one another.
    """
    clips, known = set(read[folder].clips), names.of(folder)
    if known is None:
        family = {*DISTORTED, "end_to_end"}
        known = clips.union(*(read[other].clips for other in read if {folder, other} <= family))
    missing = known - clips
    method, quality = method_and_quality(folder)
    return CompletenessRow(
        DATASET, method, quality, COUNT, len(clips), file_names(missing), sorted(read[folder].strangers)
    )

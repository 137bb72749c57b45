"""WildDeepfake: face sequences from the internet, cropped to 224x224, in archives of four folders.

An archive ``fake_train/1.tar.gz`` holds ``./1/fake/131/942.png``: the archive's number, the label, the sequence and the
frame's number (file list of https://huggingface.co/datasets/xingjunm/WildDeepfake). Archives are read as they lie, or
unpacked beside themselves, and a sequence has the same id either way. A gzip stream has no random access: a scan reads
every archive through, and so does curating each of its sequences, which unpacked folders spare.
Which sequences come from one video was not published, nor who is in them, nor counts by folder; 7,314 is the total.
"""

import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from curation.sources.archive import ArchiveError, image_folders, inside
from curation.sources.error import SourceError, few
from curation.sources.listing import descend, is_image, make_video, no_layout, of_fake, of_real
from curation.sources.remote import Place, place_of
from curation.sources.sequences import Clip, frames_clip
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import Entry, find_folder, list_folder, open_root, spell
from curation.sources.video import Video

NAME = "wilddeepfake"
DATASET = "wilddeepfake"
LICENCE = "WildDeepfake, https://github.com/OpenTAI/wild-deepfake: research only, footage of third parties"
TOTAL = 7_314  # sequences (Zi et al. 2020)
FOLDERS = {f"{label}_{split}": (label, split) for label in ("real", "fake") for split in ("train", "test")}

_SEQUENCE = re.compile(r"(?P<archive>\d+)/(?:(?P=archive)/)?(?:(?P<label>real|fake)/)?(?P<sequence>[^/]+)", re.ASCII)
_ARCHIVE = re.compile(r"(?P<archive>\d+)\.(?:tar\.gz|tgz|tar)", re.ASCII)


@dataclass
class Folder:
    """One of the four folders, by its published name and its path, with what lies in it. ``clips`` go by the name of
    their video; ``loose`` are images that are no sequence of this folder, counted by their path below it."""

    name: str
    path: str
    clips: list[tuple[str, Clip]] = field(default_factory=list)
    loose: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    strangers: list[str] = field(default_factory=list)
    archives: list[Entry] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)  # archive: what is wrong with it

    def add(self, at: str, clip: Clip, images: int) -> None:
        sequence = _SEQUENCE.fullmatch(at)
        if sequence is None or sequence["label"] not in (None, FOLDERS[self.name][0]):
            self.loose[at] += images
        else:
            self.clips.append((f"{self.name}/{sequence['archive']}/{sequence['sequence']}", clip))

    @property
    def unexpected(self) -> list[str]:
        return sorted(self.strangers + [f"{where or '.'}/ ({count} images)" for where, count in self.loose.items()])


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like WildDeepfake (0 to 1), and why."""
    found = _folders(place_of(root))
    return (min(1.0, 0.3 + 0.2 * len(found)), f"it holds {few(found.values())}") if len(found) > 1 else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read the sequences, each a clip of frames, in archives or unpacked. A clip is called ``fake_train/1/131``.

    Raises LayoutError for another tree, also where none of its archives can be read (and says why).
    """
    root = open_root(root, NAME)
    folders = [_unpacked(root, folder, path) for folder, path in _folders(root).items()]
    _read_archives(root, folders)
    videos = [video for folder in folders for video in _videos(folder, name)]
    unread = [f"{folder.path}/{archive} ({why})" for folder in folders for archive, why in folder.unread.items()]
    if not videos and unread:
        raise SourceError(f"{root}: none of WildDeepfake's archives can be read: {few(unread, 3)}. Fetch them again.")
    if not videos:
        raise no_layout("WildDeepfake", root, "{real,fake}_{train,test}/N.tar.gz, or N/<label>/<sequence>/<frame>.png")
    there = {folder.name for folder in folders}
    warnings = [f"no folder {folder}" for folder in FOLDERS if folder not in there]
    if unread:
        warnings.append(f"{len(unread)} archives cannot be read: {few(unread, 3)}")
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=videos,
        rows=[_row(folder) for folder in folders],
        notes=[
            f"{len(videos):,} sequences; {TOTAL:,} were published, without counts by folder",
            "no validation split, and sequences of one video are not grouped: one cut from train may share footage",
        ],
        warnings=warnings,
    )


def _folders(root: Place) -> dict[str, str]:
    """The four folders that are there, also one level deeper in ``deepfake_in_the_wild/`` and spelled with blanks."""
    inner = find_folder(root, "", "deepfake_in_the_wild")
    found: dict[str, str] = {}
    for entry in [entry for parent in ("", inner) if parent is not None for entry in list_folder(root, parent)]:
        folder = re.sub(r"[ -]+", "_", entry.name.strip().lower())
        if entry.kind != "folder" or folder not in FOLDERS:
            continue
        if folder in found:
            raise SourceError(f"{few([found[folder], entry.path])} are one folder of WildDeepfake: keep one of them.")
        found[folder] = entry.path
    return dict(sorted(found.items()))


def _unpacked(root: Place, name: str, path: str) -> Folder:
    """One of the four folders with the sequences that lie unpacked in it, and the archives beside them."""
    folder = Folder(name, path)
    for below, entries in descend(root, path, 4):
        at = below.removeprefix(path).strip("/")
        for entry in entries:
            if not at and entry.kind == "file" and _ARCHIVE.fullmatch(entry.name):
                folder.archives.append(entry)
            elif entry.kind != "folder" and not is_image(entry):
                folder.strangers.append(f"{at}/{entry.described()}".lstrip("/"))
        clip = frames_clip(below, entries)
        if clip:
            folder.add(at, clip, sum(map(is_image, entries)))
    return folder


def _read_archives(root: Place, folders: list[Folder]) -> None:
    """Adds the sequences in archives that nobody unpacked. zlib and the disk work without Python's lock: threads do."""
    packed = []
    for folder in folders:
        unpacked = {name.split("/")[1] for name, _ in folder.clips}
        packed += [(folder, entry) for entry in folder.archives if _number(entry) not in unpacked]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        listed = threads.map(lambda at: _image_folders(root, at[1]), packed)
        for (folder, entry), found in zip(packed, listed, strict=True):
            if isinstance(found, ArchiveError):
                folder.unread[entry.name] = str(found).removeprefix(f"{root / entry.path} ").rstrip(".")
                continue
            for inner, images in found.items():
                clip = Clip(inner.rpartition("/")[2], inside(entry.path, inner), entry.bytes, entry.mtime_ns)
                folder.add(f"{_number(entry)}/{inner}".rstrip("/"), clip, len(images))


def _number(archive: Entry) -> str:
    return _ARCHIVE.fullmatch(archive.name)["archive"]


def _image_folders(root: Place, archive: Entry) -> dict[str, list[str]] | ArchiveError:
    try:
        return {spell(folder): images for folder, images in image_folders(root / archive.path).items()}
    except ArchiveError as error:  # a damaged archive takes nothing from the others
        return error


def _videos(folder: Folder, source: str) -> list[Video]:
    label, split = FOLDERS[folder.name]
    method, said = ("original", of_real()) if label == "real" else ("wild", of_fake("unknown"))
    said |= {"raw_label": folder.path.rpartition("/")[2], "official_split": split, "kind": "frames", "aligned": True}
    return [make_video(DATASET, method, name, clip, source, **said) for name, clip in folder.clips]


def _row(folder: Folder) -> CompletenessRow:
    label, split = FOLDERS[folder.name]
    missing = sorted(f"{archive} ({why})" for archive, why in folder.unread.items())
    method = "original" if label == "real" else "wild"
    return CompletenessRow(DATASET, method, "native", None, len(folder.clips), missing, folder.unexpected, part=split)

"""The folder tree of FaceForensics++, which DFD shares: ``<group>/<method>/<quality>/{videos,images}``, and masks.

This module knows where clips lie and nothing of what they mean. Old copies call raw ``c0`` and keep frames as
``images/NNN/%04d.png``; where a quality holds both forms, the videos are read and a note says so.
"""

from dataclasses import dataclass, field

from curation.sources.error import SourceError, check_known, few
from curation.sources.remote import Place
from curation.sources.tree import IMAGE_EXTENSIONS, Entry, find_folder, list_folder

ORIGINAL, MANIPULATED = "original_sequences", "manipulated_sequences"
QUALITIES = {"raw": "raw", "c0": "raw", "c23": "c23", "c40": "c40"}
LAYOUTS = ("auto", "videos", "images")


@dataclass(frozen=True, slots=True)
class Clip:
    """One video file, or one folder of frames (``bytes`` of all its images, ``mtime_ns`` of the newest).

    Both are None for what cannot be read."""

    name: str
    path: str
    bytes: int | None
    mtime_ns: int | None


@dataclass(frozen=True)
class QualityFolder:
    """The clips of one method in one quality. ``strangers`` are entries that are no clips, as a table shows them."""

    quality: str
    path: str  # of the folder that holds the clips
    kind: str  # video | frames
    clips: dict[str, Clip]
    strangers: list[str]

    def file_name(self, name: str) -> str:
        """A clip's name as its folder spells it: ``000.mp4``, or ``000/`` for a folder of frames."""
        return f"{name}.mp4" if self.kind == "video" else f"{name}/"


@dataclass
class MethodFolder:
    """One method of the tree: its qualities, its masks (name -> relative path; None where there is no such folder)."""

    path: str
    qualities: list[QualityFolder] = field(default_factory=list)
    masks: QualityFolder | None = None
    notes: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)  # folders and files that the published layout does not have

    def mask_of(self, name: str) -> str | None:
        clip = self.masks.clips.get(name) if self.masks else None
        return clip.path if clip else None


def read_method(root: Place, group: str, method: str, layout: str = "auto") -> MethodFolder | None:
    """The folder ``<group>/<method>`` of the tree, or None where there is none. Raises SourceError for a wrong
    ``layout`` and where two folders would be one quality (``c0`` and ``raw``)."""
    check_known([layout], LAYOUTS, "layout")
    parent = find_folder(root, "", group)
    path = find_folder(root, parent, method) if parent else None
    if path is None:
        return None
    found = MethodFolder(path)
    seen: dict[str, str] = {}
    for entry in list_folder(root, path):
        quality = QUALITIES.get(entry.name.lower())
        if entry.kind == "folder" and quality:
            if quality in seen:
                raise SourceError(
                    f"{root / path} holds both {seen[quality]}/ and {entry.name}/, which are one quality ({quality}): "
                    "keep one of them in the tree."
                )
            seen[quality] = entry.name
            folder = _read_quality(root, entry.path, quality, layout, found)
            if folder:
                found.qualities.append(folder)
        elif entry.kind == "folder" and entry.name.lower() == "masks":
            found.masks = _read_quality(root, entry.path, "masks", "auto", found)
        elif entry.kind != "folder" or entry.name.lower() != "models":
            found.not_read.append(f"{path}/{entry.described()}")
    return found


def is_tree(root: Place, methods: dict[str, str]) -> list[str]:
    """Which of ``methods`` (``folder name -> group``) have a folder with a quality in it under ``root``."""
    return [
        name
        for name, group in methods.items()
        if (parent := find_folder(root, "", group))
        and (path := find_folder(root, parent, name))
        and any(e.kind == "folder" and e.name.lower() in QUALITIES for e in list_folder(root, path))
    ]


def _read_quality(root: Place, path: str, quality: str, layout: str, method: MethodFolder) -> QualityFolder | None:
    entries = {entry.name.lower(): entry for entry in list_folder(root, path)}
    forms = {form: entries.pop(form) for form in ("videos", "images") if _is_folder(entries.get(form))}
    method.not_read += [f"{path}/{entry.described()}" for entry in entries.values()]
    read = {form: _read_clips(root, folder.path, quality, form) for form, folder in forms.items()}
    if layout != "auto":
        wanted = read.get(layout)
    else:
        wanted = next((folder for folder in read.values() if folder.clips), next(iter(read.values()), None))
    for form, folder in read.items():
        if folder is not wanted and folder.clips:
            method.notes.append(f"{len(folder.clips):,} clips in {folder.path} not read (layout={form} reads them)")
    return wanted


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == "folder"


def _read_clips(root: Place, path: str, quality: str, form: str) -> QualityFolder:
    clips, strangers = {}, []
    for entry in list_folder(root, path):
        clip = _video(entry) if form == "videos" else _frames(root, entry)
        if clip:
            clips[clip.name] = clip
        else:
            empty = form == "images" and entry.kind == "folder"
            strangers.append(f"{entry.described()} (no images)" if empty else entry.described())
    return QualityFolder(quality, path, "video" if form == "videos" else "frames", clips, strangers)


def _video(entry: Entry) -> Clip | None:
    if entry.kind != "file" or entry.extension != ".mp4":
        return None
    return Clip(entry.stem, entry.path, entry.bytes, entry.mtime_ns)


def _frames(root: Place, entry: Entry) -> Clip | None:
    return frames_clip(entry.path, list_folder(root, entry.path)) if entry.kind == "folder" else None


def frames_clip(path: str, entries: list[Entry]) -> Clip | None:
    """The folder ``path`` as a clip of the images among its ``entries``, or None where there are none."""
    images = [entry for entry in entries if entry.kind == "file" and entry.extension.lower() in IMAGE_EXTENSIONS]
    if not images:
        return None
    newest = max(image.mtime_ns for image in images)
    return Clip(path.rpartition("/")[2], path, sum(image.bytes for image in images), newest)


def describe_root(root: Place) -> str:
    """What lies in a root, for an error: its first few entries."""
    return few([entry.described() for entry in list_folder(root)], 8) or "nothing"

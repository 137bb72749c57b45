"""Which files of a tree a description speaks of: include, exclude, and the known extensions.

Hidden files and folders (``.x``, also the ``._x.mp4`` that macOS leaves on other disks) are chosen only by an include
glob that begins a name with a dot itself, as in a shell. Whatever is not chosen is counted in a note.
"""

import os
import re
from collections import defaultdict
from dataclasses import dataclass

from curation.sources.description import Description
from curation.sources.error import SourceError, few
from curation.sources.pattern import compile_glob
from curation.sources.remote import Place
from curation.sources.sequences import Clip, frames_clip
from curation.sources.tree import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, Entry, Walk, spell, split_extension

_EXTENSIONS = {"videos": VIDEO_EXTENSIONS, "images": IMAGE_EXTENSIONS}
_NOT_HIDDEN = compile_glob("**")


@dataclass(frozen=True)
class Globs:
    """The compiled include and exclude of a description; None includes every known extension of its kind."""

    include: dict[str, re.Pattern[str]] | None
    exclude: dict[str, re.Pattern[str]]
    extensions: frozenset[str] | None  # None: folders of frames, which have none

    def wanted(self, path: str) -> bool:
        if self.include is not None:
            return any(glob.fullmatch(path) for glob in self.include.values())
        known = self.extensions is None or split_extension(path)[1].lower() in self.extensions
        return known and bool(_NOT_HIDDEN.fullmatch(path))

    def dropped(self, path: str) -> bool:
        return any(glob.fullmatch(path) for glob in self.exclude.values())

    def chosen(self, path: str) -> bool:
        return self.wanted(path) and not self.dropped(path)


@dataclass(frozen=True)
class Selection:
    """What the globs chose (path -> clip) and what should be said about the rest."""

    clips: dict[str, Clip]
    globs: Globs
    notes: list[str]
    warnings: list[str]


def select(description: Description, root: Place, tree: Walk, own: list[Place]) -> Selection:
    """The files (``kind`` frames: folders) that ``include`` chooses and ``exclude`` does not drop.

    ``own`` are the description's own files, never chosen. What cannot be read (a broken link, a pipe) is chosen all the
    same, with a warning: its row will say why it gave nothing. Raises SourceError where nothing is chosen.
    """
    globs = Globs(
        include=None if description.include is None else {glob: compile_glob(glob) for glob in description.include},
        exclude={glob: compile_glob(glob) for glob in description.exclude},
        extensions=_EXTENSIONS.get(description.kind),
    )
    # a file of this machine and a root elsewhere: the relative path is none of the root's
    own_paths = {spell(os.path.relpath(str(file.resolve()), str(root.resolve()))) for file in own}
    files = [entry for entry in tree.files if entry.path not in own_paths]
    things = _frame_folders(files) if description.kind == "frames" else {entry.path: entry for entry in files}
    others = [entry.path for entry in files if entry.path.rpartition("/")[0] not in things and entry.path not in things]
    clips: dict[str, Clip] = {}
    excluded, broken = [], []
    for path, thing in things.items():
        if not globs.wanted(path):
            others.append(path)
        elif globs.dropped(path):
            excluded.append(path)
        elif isinstance(thing, Clip):
            clips[path] = thing
        elif thing.kind != "file":
            broken.append(f"{path} ({thing.kind})")
            clips[path] = Clip(thing.stem, path, None, None)
        else:
            clips[path] = Clip(thing.stem, path, thing.bytes, thing.mtime_ns)
    if not clips:
        raise SourceError(_nothing(description, root, files, excluded))
    notes = [f"{len(excluded):,} excluded: {few(excluded, 3)}"] if excluded else []
    notes += [f"{len(others):,} others not read: {few(sorted(others), 3)}"] if others else []
    notes += [f"link not followed, it leads back to a folder above it: {few(tree.loops)}"] if tree.loops else []
    idle = [
        f'{key}: "{text}" matches nothing'
        for key, patterns in (("include", globs.include or {}), ("exclude", globs.exclude))
        for text, pattern in patterns.items()
        if not any(pattern.fullmatch(path) for path in things)
    ]
    doubts = [f"{len(broken):,} cannot be read: {few(broken)}. Mend them, or name them in exclude"] if broken else []
    empty = _empty_folders(description, tree, globs)
    if empty:
        doubts.append(f"{len(empty):,} folders are named like videos and hold nothing: {few(empty)}")
    return Selection(clips, globs, notes, doubts + idle)


def _empty_folders(description: Description, tree: Walk, globs: Globs) -> list[str]:
    if description.kind != "videos":
        return []
    filled = {folder for path in (*tree.folders, *(file.path for file in tree.files)) for folder in _above(path)}
    named = (folder for folder in tree.folders if split_extension(folder)[1].lower() in VIDEO_EXTENSIONS)
    return [f"{folder}/" for folder in named if folder not in filled and globs.chosen(folder)]


def _above(path: str) -> list[str]:
    return [path[:place] for place, char in enumerate(path) if char == "/"]


def _frame_folders(files: list[Entry]) -> dict[str, Clip]:
    by_folder: dict[str, list[Entry]] = defaultdict(list)
    for entry in files:
        by_folder[entry.path.rpartition("/")[0]].append(entry)
    clips = {folder: clip for folder, entries in by_folder.items() if (clip := frames_clip(folder, entries))}
    if "" in clips:
        raise SourceError(
            "kind: frames, but images lie in the root itself: every video must be a folder of its own. For single "
            "images say kind: images."
        )
    return clips


def _nothing(description: Description, root: Place, files: list[Entry], excluded: list[str]) -> str:
    if excluded:
        return f"exclude drops all {len(excluded):,} {description.kind} of {root}: {few(excluded)}."
    by = f"include {few(description.include)}" if description.include else f"kind: {description.kind}"
    found = few([entry.path for entry in files]) or "no file"
    return f"nothing in {root} fits {by}; found {found}. A glob matches the whole path (**/*.mp4 at any depth)."

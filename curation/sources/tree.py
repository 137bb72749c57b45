"""Reading folders: one ``scandir`` per folder gives names, sizes and times of 100,000 files in about a second.

Links to files and folders are followed, because large sets are often gathered from several disks by links; a link that
leads back to a folder above it is reported and not followed. Everything outside this module works on *spelled* names,
which any UTF-8 column can hold: a file name is bytes, and some are not UTF-8. A root may be an address (``remote``).
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from curation.sources.error import SourceError, did_you_mean, few
from curation.sources.remote import Place, RemotePath, place_of

JUNK = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # written by file browsers into any folder they open

_VIDEO = "mp4 m4v mov mkv webm avi mpg mpeg ts mts m2ts flv f4v wmv asf 3gp ogv gif vob mxf y4m"  # a GIF is a video
_STREAM = "264 h264 265 h265 hevc ivf mjpg mjpeg"  # without a container
VIDEO_EXTENSIONS = frozenset(f".{extension}" for extension in f"{_VIDEO} {_STREAM}".split())
IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})

_UNSPELLABLE = re.compile("[\\\\\udc80-\udcff]")
_SPELLED = re.compile(r"\\x([0-9a-f]{2})")


def spell(name: str) -> str:
    """A name or path as any UTF-8 text can hold it: bytes that are not UTF-8 become ``\\xNN``.

    ``name`` is what Python gives for a file name (``surrogateescape``). A backslash becomes ``\\x5c``, so that
    ``unspell`` gives back the very same name; every other name is unchanged.
    """
    if not _UNSPELLABLE.search(name):
        return name
    return _UNSPELLABLE.sub(
        lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape")), name
    )


def unspell(spelled: str) -> str:
    """The name on disk of a spelled name or path: the inverse of ``spell``."""
    if "\\" not in spelled:
        return spelled
    return _SPELLED.sub(lambda match: bytes.fromhex(match[1]).decode("utf-8", "surrogateescape"), spelled)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a folder. ``path`` is relative to the root, spelled, with ``/``; ``bytes`` and ``mtime_ns`` are
    those of the file itself, also behind a link, and 0 for anything but a file."""

    path: str
    kind: str  # file | folder | broken link | special
    bytes: int = 0
    mtime_ns: int = 0

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return split_extension(self.name)[0]

    @property
    def extension(self) -> str:
        return split_extension(self.name)[1]

    def described(self) -> str:
        """The name as a table of strangers shows it: ``x/`` for a folder, ``x (broken link)``, ..."""
        return {"file": self.name, "folder": f"{self.name}/"}.get(self.kind, f"{self.name} ({self.kind})")


def split_extension(name: str) -> tuple[str, str]:
    """``("a.b", ".mp4")`` for ``a.b.mp4``; a leading dot begins no extension; the case is kept."""
    return os.path.splitext(name)


def open_root(root: str | Place, adapter: str) -> Place:
    """The root as a path, after making sure that it is a folder with something in it; else SourceError."""
    path = place_of(root)
    if isinstance(path, RemotePath):
        return _open_remote(path, adapter)
    path = path.expanduser()
    if path.is_dir():
        if list_folder(path):
            return path
        raise SourceError(f"{path} is an empty folder: give the folder into which the dataset was unpacked.")
    if path.exists():
        raise SourceError(f"{path} is a file: `deepshard scan {adapter}` wants the folder that holds the dataset.")
    siblings = [child.name for child in path.parent.iterdir() if child.is_dir()] if path.parent.is_dir() else []
    raise SourceError(f"{path} does not exist.{did_you_mean(path.name, siblings)} Give the dataset's folder.")


def _open_remote(root: RemotePath, adapter: str) -> RemotePath:
    try:
        if root.is_file():
            raise SourceError(f"{root} is a file: `deepshard scan {adapter}` wants the folder that holds the dataset.")
        empty = next(root.iterdir(), None) is None
    except FileNotFoundError:
        empty = True
    except OSError as error:
        raise SourceError(
            f"{root} cannot be listed ({error.strerror}): look whether bucket, key and network are right."
        ) from None
    if empty:
        raise SourceError(f"{root} does not exist or holds nothing. Give the dataset's folder.")
    return root


def list_folder(root: Place, folder: str = "") -> list[Entry]:
    """What lies directly in ``root/folder`` (spelled, relative; "" for the root), sorted by name."""
    prefix = f"{folder}/" if folder else ""
    entries = []
    if isinstance(root, RemotePath):
        with _readable(root / unspell(folder)) as here:
            found = [_remote_entry(prefix + spell(item.name), item) for item in here.iterdir() if item.name not in JUNK]
        return sorted(found, key=lambda entry: entry.path)
    with _scan(root / unspell(folder)) as found:
        for item in found:
            if item.name in JUNK:
                continue
            entries.append(_entry(prefix + spell(item.name), item))
    return sorted(entries, key=lambda entry: entry.path)


def _entry(path: str, item: os.DirEntry[str]) -> Entry:
    try:
        if item.is_dir():
            return Entry(path, "folder")
        if item.is_file():
            stat = item.stat()
            return Entry(path, "file", stat.st_size, stat.st_mtime_ns)
    except OSError:  # a link to itself, a link into a folder that is closed to us
        pass
    return Entry(path, "broken link" if item.is_symlink() else "special")


def _remote_entry(path: str, item: RemotePath) -> Entry:
    if item.kind() != "file":
        return Entry(path, item.kind())
    stat = item.stat()
    return Entry(path, "file", stat.st_size, stat.st_mtime_ns)


@contextmanager
def _scan(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    with _readable(folder), os.scandir(folder) as entries:
        yield entries


@contextmanager
def _readable(folder: Place) -> Iterator[Place]:
    try:
        yield folder
    except OSError as error:
        raise SourceError(
            f"the folder {folder} cannot be read ({error.strerror}): make it readable, or move it out of the tree."
        ) from error


def find_folder(root: Place, parent: str, name: str) -> str | None:
    """The folder called ``name`` in ``parent``, whatever its case (copies differ); its relative path, or None."""
    here = root / unspell(parent)
    with _readable(here):
        if not here.is_dir():
            return None
    with _readable(here) if isinstance(here, RemotePath) else _scan(here) as entries:
        items = here.iterdir() if isinstance(here, RemotePath) else entries
        found = sorted(spell(item.name) for item in items if item.name.lower() == name.lower() and item.is_dir())
    if len(found) > 1:
        raise SourceError(f"{here} holds {few(found)}, which differ only in their case: merge or remove one of them.")
    return (f"{parent}/{found[0]}" if parent else found[0]) if found else None


@dataclass
class Walk:
    """A whole tree: its files (and broken links and special files), its folders, and the links not followed."""

    files: list[Entry] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)


def walk(root: Place) -> Walk:
    """Everything under ``root`` in a fixed order; folders are listed before what lies in them, the root itself not.

    Stores know no folders, so of an address those are listed that have a file in them.
    """
    if isinstance(root, RemotePath):
        return _walk_remote(root)
    tree = Walk()
    for folder, entries in _descend(root, "", frozenset(), tree):
        if folder:
            tree.folders.append(folder)
        tree.files += [entry for entry in entries if entry.kind != "folder"]
    return tree


def _walk_remote(root: RemotePath) -> Walk:
    with _readable(root):
        found = {name: item for name, item in root.below() if item.name not in JUNK}
    files = [_remote_entry(spell(name), item) for name, item in found.items()]
    folders = {name[:place] for name in map(spell, found) for place, char in enumerate(name) if char == "/"}
    return Walk(sorted(files, key=lambda entry: entry.path.split("/")), sorted(folders, key=lambda at: at.split("/")))


def _descend(root: Path, folder: str, above: frozenset, tree: Walk) -> Iterator[tuple[str, list[Entry]]]:
    waiting = [(folder, above)]
    while waiting:
        folder, above = waiting.pop()
        stat = os.stat(root / unspell(folder))
        identity = (stat.st_dev, stat.st_ino)
        if identity in above:
            tree.loops.append(folder)
            continue
        entries = list_folder(root, folder)
        yield folder, entries
        inner = above | {identity}
        waiting += [(entry.path, inner) for entry in reversed(entries) if entry.kind == "folder"]

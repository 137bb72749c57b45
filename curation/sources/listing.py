"""What several adapters do alike: list a folder's clips, read a list that lies in the tree, make rows of videos.

Nothing here knows a dataset. Lists come from strangers: names in them are only compared with what folders hold and
never opened, and a list that cannot be read is an error that names the file and what to do.
"""

import csv
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from curation.sources.error import LayoutError, SourceError, few
from curation.sources.remote import Place
from curation.sources.sequences import Clip, describe_root
from curation.sources.tree import IMAGE_EXTENSIONS, Entry, find_folder, list_folder, spell
from curation.sources.video import Video, identify

MP4 = frozenset({".mp4"})


@dataclass(frozen=True)
class Files:
    """The clips of a folder by name without extension, and its other entries as a table shows them."""

    clips: dict[str, Entry]
    strangers: list[str]


def read_files(
    root: Place, path: str, extensions: Collection[str] = MP4, inner: Collection[str] = ("videos",)
) -> Files:
    """The files with one of ``extensions`` in ``path`` and in its folders called like one of ``inner``.

    Raises SourceError where two files have one name.
    """
    clips: dict[str, Entry] = {}
    strangers = []
    deeper = [folder for name in inner if (folder := find_folder(root, path, name))]
    for entry in [entry for folder in (path, *deeper) for entry in list_folder(root, folder)]:
        if entry.path in deeper:
            continue
        if entry.kind != "file" or entry.extension not in extensions:
            strangers.append(entry.described())
        elif entry.stem in clips:
            raise SourceError(f"{few([clips[entry.stem].path, entry.path])} have one name: keep one of them.")
        else:
            clips[entry.stem] = entry
    return Files(clips, strangers)


def descend(root: Place, path: str, depth: int, skip: Collection[str] = ()) -> Iterator[tuple[str, list[Entry]]]:
    """``path`` and the folders down to ``depth`` levels below it, each with what lies in it; names in ``skip`` (lower
    case) are not entered. The depth also ends links that lead back."""
    entries = list_folder(root, path)
    yield path, entries
    for entry in entries:
        if depth > 0 and entry.kind == "folder" and entry.name.lower() not in skip:
            yield from descend(root, entry.path, depth - 1, skip)


def below(root: Place, path: str, depth: int) -> dict[str, Entry]:
    """Everything below ``path`` that is no folder, by its path below ``path``."""
    return {
        entry.path.removeprefix(path).lstrip("/"): entry
        for _, entries in descend(root, path, depth)
        for entry in entries
        if entry.kind != "folder"
    }


def is_image(entry: Entry) -> bool:
    return entry.kind == "file" and entry.extension.lower() in IMAGE_EXTENSIONS


def make_video(
    dataset: str, method: str, name: str, clip: Entry | Clip, source: str, *, quality: str = "native", **said: Any
) -> Video:
    """A row of the catalog for ``clip``; ``said`` are the other fields of ``Video``."""
    return Video(
        video_id=identify(dataset, method, quality, name),
        dataset=dataset,
        method=method,
        quality=quality,
        name=name,
        source=source,
        path=clip.path,
        bytes=clip.bytes,
        mtime_ns=clip.mtime_ns,
        **said,
    )


def of_real(person: str | None = None) -> dict[str, Any]:
    """What is said of a real clip: one sees the person whose footage it is."""
    return {"label": 0, "category": "real", "target_id": person, "visible_id": person}


def of_fake(category: str, target: str | None = None, source: str | None = None) -> dict[str, Any]:
    """What is said of a fake: a swap shows the source's face, a reenactment keeps the target's."""
    visible = {"swap": source, "reenactment": target}.get(category)
    return {"label": 1, "category": category, "target_id": target, "source_id": source, "visible_id": visible}


def read_json(file: Place) -> dict[str, Any]:
    """A JSON object. Raises SourceError for a file that is none."""
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise wrong_list(file, f"this is not JSON ({str(error)[:200]})") from error
    if not isinstance(found, dict):
        raise wrong_list(file, "this is not a JSON object with one entry a video")
    return found


def read_rows(file: Place) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file that are not empty, each with its line number, the header among them; cells stripped."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except (csv.Error, UnicodeDecodeError) as error:
        raise wrong_list(file, f"this is not CSV in UTF-8 ({error})") from error


def read_lines(file: Place) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, stripped, each with its number."""
    text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def find_file(root: Place, *relatives: str) -> Place | None:
    """The first of some files that is there."""
    return next((file for relative in relatives if (file := root / relative).is_file()), None)


def wrong_list(file: Place, what: str, line: int | None = None) -> SourceError:
    """The error for a list that cannot be the published one."""
    return SourceError(f"{file}{'' if line is None else f', line {line}'}: {what}. Put the published list there.")


def file_names(names: Iterable[str], extension: str = ".mp4") -> list[str]:
    """Names as a completeness row spells them: sorted, with the extension."""
    return sorted(f"{spell(name)}{extension}" for name in names)


def no_layout(dataset: str, root: Place, looked_for: str) -> LayoutError:
    """The error for a tree that is not the dataset's, with what lies in it."""
    return LayoutError(dataset, root, looked_for, describe_root(root))

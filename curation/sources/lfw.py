"""LFW: 13,233 photographs of 5,749 people, a folder each, ``Aaron_Eckhart/Aaron_Eckhart_0001.jpg``; all real.

A set for probing what an embedding knows of identities. Layout and counts are those of http://vis-www.cs.umass.edu/lfw;
its ``lfw-names.txt`` (name, blank, number of images), where it lies in the root, tells every name; without it, numbers
that a person's folder skips are missed by name and the rest is counted. No split: LFW's own views are of pairs.
"""

import re

from curation.sources.error import few
from curation.sources.listing import find_file, is_image, make_video, no_layout, of_real, read_lines, wrong_list
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import Entry, find_folder, list_folder, open_root
from curation.sources.video import Video

NAME = "lfw"
DATASET = "lfw"
LICENCE = "unknown (photographs of news agencies; LFW states no licence)"
COUNT, PEOPLE = 13_233, 5_749
NAMES = "lfw-names.txt"
QUALITIES = {"lfw": "native", "lfw_funneled": "funneled", "lfw-deepfunneled": "deepfunneled"}  # folder: quality

_NAME = re.compile(r"(?P<person>.+)_(?P<number>\d{4})")
_LINE = re.compile(r"(\S+)\s+(\d+)")
_GLANCE = 20  # folders that are looked into to recognise LFW


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like LFW (0 to 1), and why: a folder of people, each with images named after it."""
    root = place_of(root)
    for path in _folders(root).values():
        people = [entry for entry in list_folder(root, path) if entry.kind == "folder"][:_GLANCE]
        named = [
            person.path for person in people if any(_number(person, entry) for entry in list_folder(root, person.path))
        ]
        if named and 2 * len(named) >= len(people):
            return 0.9 if path else 0.8, f"it holds images named after their folder, {named[0]}"
    return 0.0, ""


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read LFW: the folder of people, or one that holds it (``lfw``, ``lfw_funneled``, ``lfw-deepfunneled``).

    Raises LayoutError for another tree, SourceError for a list of names that is not one.
    """
    root = open_root(root, NAME)
    file = find_file(root, NAMES)
    listed = _read_names(file) if file else None
    videos: list[Video] = []
    rows: list[CompletenessRow] = []
    for quality, path in _folders(root).items():
        images, strangers = _read(root, path)
        videos += [_video(entry, quality, name) for entry in images.values()]
        if images:
            missing = sorted((_gaps(images) if listed is None else listed) - set(images))
            rows.append(CompletenessRow(DATASET, "original", quality, COUNT, len(images), missing, sorted(strangers)))
    if not videos:
        raise no_layout("LFW", root, "a folder for each person, like Aaron_Eckhart/Aaron_Eckhart_0001.jpg")
    people = len({video.target_id for video in videos})
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=videos,
        rows=rows,
        notes=[f"{people:,} people; {PEOPLE:,} were published"],
    )


def _folders(root: Place) -> dict[str, str]:
    """The folders of people by quality; the root itself where there is none, its quality told by its name."""
    found = {}
    for folder, quality in QUALITIES.items():
        for spelling in (folder, folder.replace("_", "-"), folder.replace("-", "_")):
            path = find_folder(root, "", spelling)
            if path:
                found[quality] = find_folder(root, path, spelling) or path
    own = {_plain(folder): quality for folder, quality in QUALITIES.items()}.get(_plain(root.absolute().name), "native")
    return found or {own: ""}


def _plain(folder: str) -> str:
    return folder.lower().replace("_", "-")


def _number(person: Entry, entry: Entry) -> re.Match[str] | None:
    match = _NAME.fullmatch(entry.stem) if is_image(entry) and entry.extension == ".jpg" else None
    return match if match and match["person"] == person.name else None


def _read(root: Place, path: str) -> tuple[dict[str, Entry], list[str]]:
    """The images by file name, and what has no place in the layout."""
    images: dict[str, Entry] = {}
    strangers = []
    for person in list_folder(root, path):
        if person.kind != "folder":
            strangers += [person.described()] if person.name != NAMES else []
            continue
        for entry in list_folder(root, person.path):
            if _number(person, entry):
                images[entry.name] = entry
            else:
                strangers.append(f"{person.name}/{entry.described()}")
    return images, strangers


def _read_names(file: Place) -> set[str]:
    names: set[str] = set()
    for number, line in read_lines(file):
        match = _LINE.fullmatch(line)
        if match is None:
            raise wrong_list(file, f'{few([line])} is not like "Aaron_Eckhart 1"', number)
        names |= {f"{match[1]}_{image:04d}.jpg" for image in range(1, int(match[2]) + 1)}
    return names


def _gaps(images: dict[str, Entry]) -> set[str]:
    """Every name up to each person's highest number."""
    highest: dict[str, int] = {}
    for entry in images.values():
        match = _NAME.fullmatch(entry.stem)
        highest[match["person"]] = max(highest.get(match["person"], 0), int(match["number"]))
    return {f"{person}_{number:04d}.jpg" for person, last in highest.items() for number in range(1, last + 1)}


def _video(entry: Entry, quality: str, source: str) -> Video:
    person = _NAME.fullmatch(entry.stem)["person"]
    return make_video(
        DATASET,
        "original",
        entry.stem,
        entry,
        source,
        quality=quality,
        raw_label=person,
        kind="image",
        **of_real(f"{DATASET}:{person}"),
    )

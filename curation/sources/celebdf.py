"""Celeb-DF v1 and v2 (and ++, by ``celebdf_plus``): real clips of celebrities, their face swaps, more from YouTube.

The published test list says 1 for real and 0 for fake, the other way round than everybody else; here it only decides
the official split, and it is checked against the folders. v1 and v2 share folders and names (v1 lies almost wholly in
v2), so the version is taken from the option, from what v1 cannot hold, or from the folder's name, else asked for.
"""

import re
from dataclasses import dataclass
from typing import Any

from curation.sources.celebdf_plus import is_plus, read_plus
from curation.sources.error import LayoutError, SourceError, check_known, few
from curation.sources.listing import make_video, of_fake, of_real
from curation.sources.published import celebdf_v2_test
from curation.sources.remote import Place, place_of
from curation.sources.sequences import describe_root
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import Entry, find_folder, list_folder, open_root
from curation.sources.video import Video, identify

NAME = "celebdf"
IDENTITIES = "celebdf"  # v1 and v2 number the same people
LICENCE = "Celeb-DF terms of use: research only, no redistribution"
TEST_LIST = "List_of_testing_videos.txt"

COUNTS = {  # folder: published number of videos
    "v1": {"Celeb-real": 158, "YouTube-real": 250, "Celeb-synthesis": 795},
    "v2": {"Celeb-real": 590, "YouTube-real": 300, "Celeb-synthesis": 5639},
}
V1_PEOPLE = 13
FOLDERS = tuple(COUNTS["v2"])

_NAMES = {
    "Celeb-real": re.compile(r"(?P<target>id\d+)_(?P<clip>\d{4})", re.ASCII),
    "YouTube-real": re.compile(r"(?P<clip>\d{5})", re.ASCII),
    "Celeb-synthesis": re.compile(r"(?P<target>id\d+)_(?P<source>id\d+)_(?P<clip>\d{4})", re.ASCII),
}
_VERSION_IN_NAME = re.compile(r"celeb[-_ ]?df[-_ ]*\(?v?([12])(?!\d)", re.IGNORECASE)
_LINE = re.compile(r"([01])\s+(\S+)/(\S+)\.mp4", re.ASCII)


@dataclass(frozen=True)
class Folder:
    """One of the three folders: its clips by name, and the entries that are no clips of this set."""

    path: str
    clips: dict[str, Entry]
    strangers: list[str]


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like Celeb-DF (0 to 1), and why."""
    found = [folder for folder in FOLDERS if find_folder(place_of(root), "", folder)]
    return {0: 0.0, 1: 0.6}.get(len(found), 1.0), f"it holds {few(found)}" if found else ""


def open_source(root: str | Place, *, version: str | int | None = None, name: str | None = None) -> Source:
    """Read a Celeb-DF tree, flat or with ``videos/`` in each folder. ``version`` is "v1" or "v2", detected if None.
    Celeb-DF++ is known by its folders.

    Raises LayoutError for another tree, SourceError where the version cannot be told or the test list is not one.
    """
    root = open_root(root, NAME)
    if is_plus(root):
        if version is not None:
            raise SourceError(f"{root} holds Celeb-DF++, which is read without a version (asked for: {version}).")
        return read_plus(root, NAME, name)
    read = {folder: found for folder in FOLDERS if (found := _read_folder(root, folder))}
    if not any(found.clips for found in read.values()):
        raise LayoutError(
            "Celeb-DF",
            root,
            "Celeb-real/idA_NNNN.mp4, YouTube-real/NNNNN.mp4 and Celeb-synthesis/idA_idB_NNNN.mp4 (also one level "
            "deeper, in videos/)",
            describe_root(root),
        )
    listed = _read_test_list(root)
    version, why = _version(version, root, read, listed)
    warnings = [f"no folder {folder}" for folder in FOLDERS if folder not in read]
    warnings += _over_counts(version, read)
    notes = [f"read as Celeb-DF {version}: {why}"]
    test = celebdf_v2_test() if version == "v2" and listed is None else listed
    if listed is None:
        notes.append(
            f"no {TEST_LIST}: the published list of v2 gives the official split"
            if version == "v2"
            else f"no {TEST_LIST}: no official split"
        )
    elif version == "v2":
        told, warned = _compare_lists(listed)
        notes += told
        warnings += warned
    if version == "v2" and "YouTube-real" in read:
        read["YouTube-real"] = _only(read["YouTube-real"], _youtube_v2())
    dataset = f"celebdf-{version}"
    return Source(
        adapter=NAME,
        source=name or dataset,
        root=root,
        licence=LICENCE,
        config={"version": version},
        videos=[
            video
            for folder, found in read.items()
            for video in _videos(dataset, folder, found, test[folder] if test else None, name or dataset)
        ],
        rows=_rows(dataset, version, read, test),
        notes=notes,
        warnings=warnings,
    )


def _read_folder(root: Place, folder: str) -> Folder | None:
    path = find_folder(root, "", folder)
    if path is None:
        return None
    inner = find_folder(root, path, "videos")
    clips: dict[str, Entry] = {}
    strangers = []
    entries = [entry for entry in list_folder(root, path) if entry.path != inner]
    for entry in entries + (list_folder(root, inner) if inner else []):
        if entry.kind != "file" or entry.extension != ".mp4" or not _NAMES[folder].fullmatch(entry.stem):
            strangers.append(entry.described())
        elif entry.stem in clips:
            raise SourceError(
                f"{few([clips[entry.stem].path, entry.path])} are one video twice: keep the files in {path}/ or in "
                f"{inner}/, not in both."
            )
        else:
            clips[entry.stem] = entry
    return Folder(path, clips, strangers)


def _youtube_v2() -> set[str]:
    return {f"{number:05d}" for number in range(COUNTS["v2"]["YouTube-real"])}


def _only(folder: Folder, names: set[str]) -> Folder:
    """The folder without the clips whose names are not among the published ones; those become strangers."""
    clips = {name: entry for name, entry in folder.clips.items() if name in names}
    others = [entry.name for name, entry in folder.clips.items() if name not in names]
    return Folder(folder.path, clips, folder.strangers + others)


def _read_test_list(root: Place) -> dict[str, frozenset[str]] | None:
    """The test names of each folder by the copy's own list, or None where it has none."""
    file = root / TEST_LIST
    if not file.is_file():
        return None
    names: dict[str, set[str]] = {folder: set() for folder in FOLDERS}
    spelling = {folder.lower(): folder for folder in FOLDERS}
    for number, line in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        folder = spelling.get(match[2].split("/")[0].lower()) if match else None
        if folder is None:
            raise SourceError(
                f'{file}, line {number}: {line!r} is not like "1 YouTube-real/00170.mp4". Put the published list '
                "there, or remove the file."
            )
        if (match[1] == "0") != (folder == "Celeb-synthesis"):
            raise SourceError(
                f"{file}, line {number}: {line!r} contradicts its folder (in this list 1 is real and 0 is fake). Put "
                "the published list there, or remove the file."
            )
        names[folder].add(match[3])
    return {folder: frozenset(found) for folder, found in names.items()}


def _version(asked: str | int | None, root: Place, read: dict[str, Folder], listed: dict | None) -> tuple[str, str]:
    """The version, and by what it was told."""
    if asked is not None:
        version = f"v{str(asked).lower().removeprefix('celebdf-').removeprefix('v')}"
        check_known([version], COUNTS, "version")
        return version, "as asked"
    beyond = _beyond_v1(read, listed)
    if beyond:
        return "v2", beyond
    for name in (root.absolute().name, root.resolve().name):  # a link and what it leads to
        if named := _VERSION_IN_NAME.search(name):
            return f"v{named[1]}", f"the folder is called {name}"
    if all(folder in read and len(read[folder].clips) == count for folder, count in COUNTS["v1"].items()):
        return "v1", "its folders hold as many videos as v1's"
    raise SourceError(
        f"{root} could be a part of Celeb-DF v1 or of v2, which share folders and names: say which with --version v1 "
        "or --version v2."
    )


def _beyond_v1(read: dict[str, Folder], listed: dict[str, frozenset[str]] | None) -> str | None:
    """What a tree or its test list holds that v1 cannot: more videos of a kind, or more than 13 people."""
    people = set()
    for folder in FOLDERS:
        names = set(read[folder].clips if folder in read else ()) | set(listed[folder] if listed else ())
        if len(names) > COUNTS["v1"][folder]:
            return f"{folder} holds {len(names)} videos, v1 has {COUNTS['v1'][folder]}"
        if folder == "YouTube-real" and any(int(name) >= COUNTS["v1"][folder] for name in names if name.isdecimal()):
            return f"YouTube-real goes beyond v1's {COUNTS['v1'][folder]} numbers"
        people |= {person for name in names for person in re.findall(r"id\d+", name)}
    return f"{len(people)} people, v1 has {V1_PEOPLE}" if len(people) > V1_PEOPLE else None


def _over_counts(version: str, read: dict[str, Folder]) -> list[str]:
    over = [
        f"{folder} holds {len(found.clips)}, published are {COUNTS[version][folder]}"
        for folder, found in read.items()
        if len(found.clips) > COUNTS[version][folder]
    ]
    return [f"more videos than Celeb-DF {version} has: {'; '.join(over)}"] if over else []


def _compare_lists(listed: dict[str, frozenset[str]]) -> tuple[list[str], list[str]]:
    """Notes and warnings about a copy's own test list beside the published one of v2."""
    published = {f"{folder}/{name}.mp4" for folder, names in celebdf_v2_test().items() for name in names}
    own = {f"{folder}/{name}.mp4" for folder, names in listed.items() for name in names}
    if own - published:
        odd = sorted(own - published)
        return [], [
            f"{TEST_LIST} differs from the published list: {len(odd)} videos are not in that ({few(odd, 3)}); the "
            "copy's own list gives the official split"
        ]
    if own != published:
        return [f"{TEST_LIST} lists {len(own)} of the {len(published)} published test videos; it is used"], []
    return [], []


def _videos(dataset: str, folder: str, found: Folder, test: frozenset[str] | None, source: str) -> list[Video]:
    return [
        make_video(
            dataset,
            folder,
            name,
            entry,
            source,
            raw_label=folder,
            official_split=None if test is None else "test" if name in test else "train",
            **_describe(dataset, folder, name),
        )
        for name, entry in found.clips.items()
    ]


def _describe(dataset: str, folder: str, name: str) -> dict[str, Any]:
    parts = _NAMES[folder].fullmatch(name).groupdict()
    ids = {role: f"{IDENTITIES}:{parts[role]}" for role in ("target", "source") if role in parts}
    if folder != "Celeb-synthesis":
        return of_real(ids.get("target"))
    original = identify(dataset, "Celeb-real", "native", _original_name(name))
    return {**of_fake("swap", ids["target"], ids["source"]), "original_video": original}


def _original_name(fake: str) -> str:
    target, _, clip = fake.split("_")
    return f"{target}_{clip}"


def _rows(
    dataset: str, version: str, read: dict[str, Folder], test: dict[str, frozenset[str]] | None
) -> list[CompletenessRow]:
    known = {folder: set(test[folder]) if test else set() for folder in FOLDERS}
    if version == "v2":
        known = {folder: known[folder] | celebdf_v2_test()[folder] for folder in FOLDERS}
        known["YouTube-real"] |= _youtube_v2()
    fakes = known["Celeb-synthesis"] | set(read["Celeb-synthesis"].clips if "Celeb-synthesis" in read else ())
    known["Celeb-real"] |= {_original_name(fake) for fake in fakes if _NAMES["Celeb-synthesis"].fullmatch(fake)}
    rows = []
    for folder in FOLDERS:
        clips = set(read[folder].clips) if folder in read else set()
        strangers = read[folder].strangers if folder in read else []
        rows.append(
            CompletenessRow(
                dataset,
                folder,
                "native",
                COUNTS[version][folder],
                len(clips),
                sorted(f"{name}.mp4" for name in known[folder] - clips),
                sorted(strangers),
            )
        )
    return rows

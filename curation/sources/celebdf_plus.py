"""Celeb-DF++: Celeb-DF v2's real clips, its swaps, and those of 21 newer methods in three scenarios.

Layout, methods and the rule of the test split (178 real; 200, 200 and 300 fakes a method) are those of the README of
OUC-VAS/Celeb-DF-PP; with v2's own 340 fakes they add up to the 5,240 that were published. How the newer methods' files
are called was not published: people are taken from ``id<number>`` in a name, the first as target, and an original only
from a swap called ``idA_idB_NNNN`` *(unchecked)*. Who is seen is said of v2's swaps and of reenactments alone.
"""

import re
from dataclasses import dataclass
from typing import Any

from curation.sources.error import few
from curation.sources.listing import Files, find_file, make_video, of_fake, of_real, read_files, read_lines, wrong_list
from curation.sources.published import celebdf_v2_test
from curation.sources.remote import Place
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import find_folder, list_folder
from curation.sources.video import Video, identify

DATASET = "celebdf-pp"
IDENTITIES = "celebdf"
LICENCE = "Celeb-DF++ terms of use: research only, no redistribution"
TEST_LIST = "List_of_testing_videos.txt"

REALS = {"Celeb-real": 590, "YouTube-real": 300}  # as in v2
OLD = "Celeb-DF"  # the method folder that holds v2's 5,639 swaps
SCENARIOS = {  # folder: category, its method folders
    "FaceSwap": (
        "swap",
        (OLD, "BlendFace", "GHOST", "HifiFace", "InSwapper", "MobileFaceSwap", "SimSwap", "UniFace"),
    ),
    "FaceReenact": ("reenactment", ("DaGAN", "FSRT", "HyperReenact", "LIA", "LivePortrait", "MCNET", "TPSMM")),
    "TalkingFace": (
        "reenactment",
        ("AniTalker", "EchoMimic", "EDTalk", "FLOAT", "IP_LAP", "Real3DPortrait", "SadTalker"),
    ),
}

_SWAP = re.compile(r"(?P<target>id\d+)_(?P<source>id\d+)_(?P<clip>\d{4})", re.ASCII)
_REALS = {
    "Celeb-real": re.compile(r"id\d+_\d{4}", re.ASCII),
    "YouTube-real": re.compile("|".join(f"{number:05d}" for number in range(REALS["YouTube-real"]))),
}
_LINE = re.compile(r"([01])\s+(\S+)/([^/\s]+)\.mp4", re.ASCII)


@dataclass(frozen=True)
class Method:
    """A folder of clips: its name as published (``Celeb-synthesis/FaceSwap/SimSwap``) and on disk, and what it is."""

    published: str
    path: str
    category: str
    files: Files

    @property
    def name(self) -> str:
        return self.published.rpartition("/")[2]


def is_plus(root: Place) -> bool:
    """Whether ``Celeb-synthesis`` holds scenarios, which no other Celeb-DF has."""
    synthesis = find_folder(root, "", "Celeb-synthesis")
    return synthesis is not None and any(find_folder(root, synthesis, scenario) for scenario in SCENARIOS)


def read_plus(root: Place, adapter: str, name: str | None) -> Source:
    """Read a Celeb-DF++ tree. Raises SourceError for a test list that is not one."""
    methods, not_read = _methods(root)
    file = find_file(root, TEST_LIST)
    listed = _read_list(file) if file else None
    test = _official(listed)
    there = {method.published for method in methods}
    warnings = [f"no folder {folder}" for folder in _published() if folder not in there]
    if not_read:
        warnings.append(f"not part of the published layout and not read: {few(not_read, 8)}")
    notes = ["read as Celeb-DF++: Celeb-synthesis holds its scenarios"]
    if listed is None:
        notes.append(f"no {TEST_LIST}: v2's published list splits the real clips and v2's swaps; others have no split")
    return Source(
        adapter=adapter,
        source=name or DATASET,
        root=root,
        licence=LICENCE,
        config={"version": "++"},
        videos=[video for method in methods for video in _videos(method, test.get(method.published), name or DATASET)],
        rows=_rows(methods, test),
        notes=notes,
        warnings=warnings,
    )


def _published() -> list[str]:
    synthesis = [
        f"Celeb-synthesis/{scenario}/{method}" for scenario, (_, methods) in SCENARIOS.items() for method in methods
    ]
    return [*REALS, *synthesis]


def _methods(root: Place) -> tuple[list[Method], list[str]]:
    """The published folders that are there, and what lies beside them."""
    methods = []
    for folder in REALS:
        if path := find_folder(root, "", folder):
            methods.append(Method(folder, path, "real", _only_named(_REALS[folder], read_files(root, path))))
    synthesis = find_folder(root, "", "Celeb-synthesis")
    known, scenarios = {synthesis}, []
    for scenario, (category, names) in SCENARIOS.items():
        at = find_folder(root, synthesis, scenario)
        if at is None:
            continue
        scenarios.append(at)
        known.add(at)
        for name in names:
            if path := find_folder(root, at, name):
                known.add(path)
                files = read_files(root, path)
                files = _only_named(_SWAP, files) if name == OLD else files
                methods.append(Method(f"Celeb-synthesis/{scenario}/{name}", path, category, files))
    beside = [entry for folder in (synthesis, *scenarios) for entry in list_folder(root, folder)]
    return methods, [entry.path for entry in beside if entry.path not in known]


def _only_named(pattern: re.Pattern[str], files: Files) -> Files:
    odd = [entry.described() for name, entry in files.clips.items() if not pattern.fullmatch(name)]
    return Files({n: entry for n, entry in files.clips.items() if pattern.fullmatch(n)}, files.strangers + odd)


def _read_list(file: Place) -> dict[str, frozenset[str]]:
    """Test names by published folder. Whichever digit means real, one list must use it so throughout."""
    spelling = {folder.lower(): folder for folder in _published()}
    names: dict[str, set[str]] = {folder: set() for folder in spelling.values()}
    real = None
    for number, line in read_lines(file):
        match = _LINE.fullmatch(line)
        folder = spelling.get(match[2].lower()) if match else None
        if folder is None:
            raise wrong_list(file, f'{line!r} is not like "1 YouTube-real/00170.mp4"', number)
        says_real = match[1] if folder in REALS else "10"[int(match[1])]
        if real not in (None, says_real):
            raise wrong_list(file, f"{line!r} contradicts its folder, going by the lines before it", number)
        real = says_real
        names[folder].add(match[3])
    return {folder: frozenset(found) for folder, found in names.items()}


def _official(listed: dict[str, frozenset[str]] | None) -> dict[str, frozenset[str]]:
    """Test names of the folders whose split is known."""
    if listed is not None:
        return listed
    v2 = celebdf_v2_test()
    return {**{folder: v2[folder] for folder in REALS}, f"Celeb-synthesis/FaceSwap/{OLD}": v2["Celeb-synthesis"]}


def _videos(method: Method, test: frozenset[str] | None, source: str) -> list[Video]:
    return [
        make_video(
            DATASET,
            method.name,
            name,
            clip,
            source,
            raw_label=method.published.rpartition("/")[0] or method.name,
            official_split=None if test is None else "test" if name in test else "train",
            **_describe(method, name),
        )
        for name, clip in method.files.clips.items()
    ]


def _describe(method: Method, name: str) -> dict[str, Any]:
    people = [f"{IDENTITIES}:{person}" for person in re.findall(r"id\d+", name, re.ASCII)]
    if method.category == "real":
        return of_real(people[0] if people else None)
    said = of_fake(method.category, *people[:2])
    swap = _SWAP.fullmatch(name) if method.category == "swap" else None
    if swap:
        said["original_video"] = identify(DATASET, "Celeb-real", "native", f"{swap['target']}_{swap['clip']}")
    return said if method.name == OLD or method.category != "swap" else {**said, "visible_id": None}


def _rows(methods: list[Method], test: dict[str, frozenset[str]]) -> list[CompletenessRow]:
    counts = {**REALS, f"Celeb-synthesis/FaceSwap/{OLD}": 5_639}
    known = {folder: set(test.get(folder, ())) for folder in _published()}
    known["YouTube-real"] |= {f"{number:05d}" for number in range(REALS["YouTube-real"])}
    read = {method.published: method.files for method in methods}
    old = f"Celeb-synthesis/FaceSwap/{OLD}"
    swaps = known[old] | set(read[old].clips if old in read else ())
    known["Celeb-real"] |= {f"{swap['target']}_{swap['clip']}" for name in swaps if (swap := _SWAP.fullmatch(name))}
    rows = []
    for folder in _published():
        files = read.get(folder, Files({}, []))
        missing = sorted(f"{name}.mp4" for name in known[folder] - set(files.clips))
        rows.append(
            CompletenessRow(
                DATASET,
                folder.rpartition("/")[2],
                "native",
                counts.get(folder),
                len(files.clips),
                missing,
                sorted(files.strangers),
            )
        )
    return rows

"""FaceForensics++: 1000 YouTube sequences and five manipulations of each, in up to three qualities.

All methods use the same 500 published pairs, so every expected name is derived from the packaged split lists, and a
name that is not among them is reported and not read. In ``TTT_SSS`` the footage is T's; a swap shows S's face, a
reenactment keeps T's face and takes S's expression (Rössler et al. 2019, section 3). DFD in the same tree is ``dfd``'s.
"""

import json
from typing import Any

from curation.sources.error import LayoutError, SourceError, few
from curation.sources.listing import make_video, of_fake, of_real
from curation.sources.published import SPLITS, ffpp_pairs, ffpp_split_of_fake, ffpp_split_of_sequence
from curation.sources.remote import Place, place_of
from curation.sources.sequences import (
    MANIPULATED,
    ORIGINAL,
    QUALITIES,
    MethodFolder,
    QualityFolder,
    describe_root,
    is_tree,
    read_method,
)
from curation.sources.source import CompletenessRow, Source, compare
from curation.sources.tree import find_folder, list_folder, open_root
from curation.sources.video import Video, identify

NAME = "faceforensics"
DATASET = "ffpp"
LICENCE = "FaceForensics++ terms of use: research only, no redistribution"

METHODS = {  # folder: category
    "Deepfakes": "swap",
    "Face2Face": "reenactment",
    "FaceSwap": "swap",
    "NeuralTextures": "reenactment",
    "FaceShifter": "swap",
}
NO_MASKS = frozenset({"FaceShifter"})
DFD_FOLDERS = {"actors": ORIGINAL, "DeepFakeDetection": MANIPULATED}
FOLDERS = {"youtube": ORIGINAL, **dict.fromkeys(METHODS, MANIPULATED)}


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like FF++ (0 to 1), and why."""
    found = is_tree(place_of(root), FOLDERS)
    return (1.0 if found else 0.0), f"it holds FF++'s {few(found)}" if found else ""


def open_source(root: str | Place, *, name: str = DATASET, layout: str = "auto") -> Source:
    """Read an FF++ tree. ``layout`` is "videos", "images" (folders of frames) or "auto": videos where there are any.

    Raises LayoutError for another tree, SourceError for options and trees that contradict themselves.
    """
    root = open_root(root, NAME)
    videos: list[Video] = []
    rows: list[CompletenessRow] = []
    notes: list[str] = []
    warnings: list[str] = []
    read: dict[str, MethodFolder] = {}
    for folder_name, group in FOLDERS.items():
        folder = read_method(root, group, folder_name, layout)
        if folder is None:
            continue
        read[folder_name] = folder
        notes += folder.notes
        expected = set(ffpp_split_of_sequence() if folder_name == "youtube" else ffpp_split_of_fake())
        for quality in folder.qualities:
            found = _videos(folder_name, folder, quality, expected, name)
            videos += found
            rows.append(_row(folder_name, quality, expected))
        if folder.masks and folder_name not in NO_MASKS and folder_name != "youtube":
            rows.append(_row(folder_name, folder.masks, expected))
    if not videos:
        raise LayoutError(
            "FaceForensics++",
            root,
            f"{ORIGINAL}/youtube/<quality>/videos/NNN.mp4 and {MANIPULATED}/<method>/<quality>/videos/TTT_SSS.mp4 "
            f"(quality: {', '.join(QUALITIES)}; method: {', '.join(METHODS)})",
            describe_root(root),
        )
    warnings += _absent(read)
    notes += _no_masks(read)
    not_read = [entry for folder in read.values() for entry in folder.not_read] + _other_methods(root)
    if not_read:
        warnings.append(f"not part of the published layout and not read: {few(not_read, 8)}")
    if is_tree(root, DFD_FOLDERS):
        notes.append(f"this tree holds DeepFakeDetection (DFD) too: `deepshard scan dfd {root}` reads it")
    told, warned = compare_splits(root)
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        config={"layout": layout},
        videos=videos,
        rows=rows,
        notes=notes + told,
        warnings=warnings + warned,
    )


def _videos(method: str, folder: MethodFolder, quality: QualityFolder, expected: set[str], source: str) -> list[Video]:
    return [
        make_video(
            DATASET,
            "original" if method == "youtube" else method,
            clip.name,
            clip,
            source,
            quality=quality.quality,
            kind=quality.kind,
            mask_path=None if method == "youtube" else folder.mask_of(clip.name),
            **_describe(method, quality.quality, clip.name),
        )
        for clip in quality.clips.values()
        if clip.name in expected
    ]


def _describe(method: str, quality: str, name: str) -> dict[str, Any]:
    if method == "youtube":
        said = {"raw_label": ORIGINAL, "official_split": ffpp_split_of_sequence()[name]}
        return said | of_real(f"{DATASET}:{name}")
    target, source = name.split("_")
    return {
        **of_fake(METHODS[method], f"{DATASET}:{target}", f"{DATASET}:{source}"),
        "raw_label": MANIPULATED,
        "original_video": identify(DATASET, "original", quality, target),
        "official_split": ffpp_split_of_fake()[name],
    }


def _row(method: str, folder: QualityFolder, expected: set[str]) -> CompletenessRow:
    found = {folder.file_name(name) for name in folder.clips} | set(folder.strangers)
    return compare(
        found,
        {folder.file_name(name) for name in expected},
        dataset=DATASET,
        method="original" if method == "youtube" else method,
        quality=folder.quality,
    )


def _absent(read: dict[str, MethodFolder]) -> list[str]:
    present = {quality.quality for folder in read.values() for quality in folder.qualities}
    absent = {
        quality: [
            name for name in FOLDERS if name not in read or quality not in {q.quality for q in read[name].qualities}
        ]
        for quality in sorted(present)
    }
    return [f"no {quality} folder for {few(names, 6)} (1000 videos each)" for quality, names in absent.items() if names]


def _no_masks(read: dict[str, MethodFolder]) -> list[str]:
    bare = [name for name in read if name in METHODS and name not in NO_MASKS and read[name].masks is None]
    return [f"no masks for {few(bare)}: the manipulated face cannot be told from others in the frame"] if bare else []


def _other_methods(root: Place) -> list[str]:
    known = {name.lower() for name in (*FOLDERS, *DFD_FOLDERS)}
    groups = [folder for group in (ORIGINAL, MANIPULATED) if (folder := find_folder(root, "", group))]
    entries = [entry for group in groups for entry in list_folder(root, group)]
    return [f"{e.path}/" if e.kind == "folder" else e.path for e in entries if e.name.lower() not in known]


def compare_splits(root: Place) -> tuple[list[str], list[str]]:
    """Notes and warnings about the split lists that a copy carries (``splits/*.json`` or ``*.json`` at the root).

    The published lists decide; a copy's list that holds fewer pairs is noted, one that contradicts them is a warning.
    """
    notes, warnings = [], []
    for split in SPLITS:
        published = {frozenset(pair) for pair in ffpp_pairs()[split]}
        for relative in (f"splits/{split}.json", f"{split}.json"):
            file = root / relative
            if not file.is_file():
                continue
            try:
                pairs = {frozenset(pair) for pair in _read_pairs(file)}
            except SourceError as error:
                warnings.append(str(error))
                continue
            odd = sorted("_".join(sorted(pair)) for pair in pairs - published)
            if odd:
                warnings.append(
                    f"{relative} differs from the published list, which is used: {len(odd)} pairs are not in the "
                    f"published {split} split ({few(odd)})"
                )
            elif pairs != published:
                notes.append(
                    f"{relative} lists {len(pairs)} of the {len(published)} published pairs; the published list is used"
                )
    return notes, warnings


def _read_pairs(file: Place) -> list[list[str]]:
    try:
        pairs = json.loads(file.read_bytes())
    except ValueError as error:
        raise SourceError(f"{file} is not JSON ({error}): the published list is used") from error
    if not isinstance(pairs, list) or not all(
        isinstance(p, list) and all(isinstance(x, str) for x in p) for p in pairs
    ):
        raise SourceError(f'{file} is not a list of pairs like ["071", "054"]: the published list is used')
    return pairs

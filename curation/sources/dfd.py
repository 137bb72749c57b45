"""DeepFakeDetection (DFD): actors in 16 scenes and 3068 swaps of them, in FF++'s tree or in a root of its own.

Google and Jigsaw published counts per scene and no list of names (a fake ends in eight random characters), so
completeness is by scene: counts, and those names that follow from what is there. A fake's original is
``<target>__<scene>``; a scene with as many clips as there are actors needs every actor's.
"""

import re
from typing import Any

from curation.sources.error import LayoutError, few
from curation.sources.listing import make_video, of_fake, of_real
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
from curation.sources.tree import open_root
from curation.sources.video import Video, identify

NAME = "dfd"
DATASET = "dfd"
LICENCE = "FaceForensics++ terms of use (DFD by Google and Jigsaw): research only, no redistribution"

ACTORS = tuple(f"{number:02d}" for number in range(1, 29))
SCENES = {  # scene: (originals, fakes), in every quality; 363 and 3068 in all
    "exit_phone_room": (28, 218),
    "hugging_happy": (16, 164),
    "kitchen_pan": (27, 236),
    "kitchen_still": (26, 199),
    "meeting_serious": (4, 53),
    "outside_talking_pan_laughing": (28, 263),
    "outside_talking_still_laughing": (27, 241),
    "podium_speech_happy": (28, 229),
    "secret_conversation": (18, 164),
    "talking_against_wall": (27, 233),
    "talking_angry_couch": (22, 176),
    "walk_down_hall_angry": (28, 248),
    "walking_and_outside_surprised": (15, 124),
    "walking_down_indoor_hall_disgust": (15, 106),
    "walking_down_street_outside_angry": (28, 201),
    "walking_outside_cafe_disgusted": (26, 213),
}
FOLDERS = {"actors": ORIGINAL, "DeepFakeDetection": MANIPULATED}

_ORIGINAL_NAME = re.compile(r"(?P<target>\d\d)__(?P<scene>\w+)", re.ASCII)
_FAKE_NAME = re.compile(r"(?P<target>\d\d)_(?P<source>\d\d)__(?P<scene>\w+)__[A-Z0-9]{8}", re.ASCII)


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like DFD (0 to 1), and why."""
    found = is_tree(place_of(root), FOLDERS)
    return (0.9 if found else 0.0), f"it holds DFD's {few(found)}" if found else ""


def open_source(root: str | Place, *, name: str = DATASET, layout: str = "auto") -> Source:
    """Read the DFD folders of an FF++ tree. ``layout`` as for ``faceforensics``.

    Raises LayoutError for another tree, SourceError for options and trees that contradict themselves.
    """
    root = open_root(root, NAME)
    folders = {folder: read_method(root, group, folder, layout) for folder, group in FOLDERS.items()}
    read = {folder: found for folder, found in folders.items() if found}
    videos = [video for folder, found in read.items() for video in _videos(folder, found, name)]
    if not videos:
        raise LayoutError(
            "DeepFakeDetection (DFD)",
            root,
            f"{ORIGINAL}/actors/<quality>/videos/AA__<scene>.mp4 and "
            f"{MANIPULATED}/DeepFakeDetection/<quality>/videos/TT_SS__<scene>__XXXXXXXX.mp4 "
            f"(quality: {', '.join(QUALITIES)})",
            describe_root(root),
        )
    not_read = [entry for found in read.values() for entry in found.not_read]
    warnings = [f"not part of the published layout and not read: {few(not_read, 8)}"] if not_read else []
    warnings += [f"no folder {FOLDERS[folder]}/{folder}" for folder in FOLDERS if folder not in read]
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        config={"layout": layout},
        videos=videos,
        rows=_rows(read),
        notes=[note for found in read.values() for note in found.notes] + _no_masks(read),
        warnings=warnings,
    )


def _parse(folder: str, name: str) -> dict[str, str] | None:
    """The parts of a name: target, scene and, for a fake, source; None where the published naming has no such name."""
    match = (_ORIGINAL_NAME if folder == "actors" else _FAKE_NAME).fullmatch(name)
    parts = match.groupdict() if match else None
    if parts is None or parts["scene"] not in SCENES or parts["target"] not in ACTORS:
        return None
    if folder == "actors" or (parts["source"] in ACTORS and parts["source"] != parts["target"]):
        return parts
    return None


def _videos(folder: str, found: MethodFolder, source: str) -> list[Video]:
    return [
        make_video(
            DATASET,
            "original" if folder == "actors" else folder,
            clip.name,
            clip,
            source,
            quality=quality.quality,
            kind=quality.kind,
            mask_path=None if folder == "actors" else found.mask_of(clip.name),
            **_describe(folder, quality.quality, parts),
        )
        for quality in found.qualities
        for clip in quality.clips.values()
        if (parts := _parse(folder, clip.name))
    ]


def _describe(folder: str, quality: str, parts: dict[str, str]) -> dict[str, Any]:
    target = f"{DATASET}:{parts['target']}"
    if folder == "actors":
        return {"raw_label": ORIGINAL, **of_real(target)}
    return {
        **of_fake("swap", target, f"{DATASET}:{parts['source']}"),
        "raw_label": MANIPULATED,
        "original_video": identify(DATASET, "original", quality, _original_name(parts)),
    }


def _original_name(parts: dict[str, str]) -> str:
    return f"{parts['target']}__{parts['scene']}"


def _rows(read: dict[str, MethodFolder]) -> list[CompletenessRow]:
    fakes = read.get("DeepFakeDetection")
    fake_names = {clip for quality in fakes.qualities for clip in quality.clips} if fakes else set()
    needed = {_original_name(parts) for name in fake_names if (parts := _parse("DeepFakeDetection", name))}
    needed |= {f"{actor}__{scene}" for scene, (count, _) in SCENES.items() if count == len(ACTORS) for actor in ACTORS}
    rows = []
    for folder, found in read.items():
        for quality in found.qualities:
            rows += _scene_rows(folder, quality, needed if folder == "actors" else set())
    if fakes and fakes.masks:
        masks = fakes.masks
        rows.append(
            compare(
                {masks.file_name(name) for name in masks.clips} | set(masks.strangers),
                {masks.file_name(name) for name in fake_names if _parse("DeepFakeDetection", name)},
                dataset=DATASET,
                method="DeepFakeDetection",
                quality="masks",
            )
        )
    return rows


def _scene_rows(folder: str, quality: QualityFolder, needed: set[str]) -> list[CompletenessRow]:
    row = {"dataset": DATASET, "method": "original" if folder == "actors" else folder, "quality": quality.quality}
    parsed = {name: _parse(folder, name) for name in quality.clips}
    rows = []
    for scene, counts in SCENES.items():
        found = {name for name, parts in parsed.items() if parts and parts["scene"] == scene}
        missing = {name for name in needed if _parse("actors", name)["scene"] == scene} - found
        rows.append(
            CompletenessRow(
                **row,
                part=scene,
                expected=counts[0 if folder == "actors" else 1],
                found=len(found),
                missing=sorted(quality.file_name(name) for name in missing),
            )
        )
    unexpected = [quality.file_name(name) for name, parts in parsed.items() if not parts] + quality.strangers
    if unexpected:
        rows.append(CompletenessRow(**row, part="no scene", expected=0, found=0, unexpected=sorted(unexpected)))
    return rows


def _no_masks(read: dict[str, MethodFolder]) -> list[str]:
    fakes = read.get("DeepFakeDetection")
    if fakes is None or fakes.masks:
        return []
    return ["no masks: scenes hold several people, and without masks the largest face is often not the swapped one"]

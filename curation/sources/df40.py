"""DF40: 40 forgery methods as folders of cropped faces, most made on FF++ and Celeb-DF footage.

``<method>/{ff,cdf}/...`` or ``<method>/{fake,real}/...`` (README and labels of YZY-stack/DF40; the nine methods with
their own real images have the second form). A method's folder is not always called as in the paper's table: ``METHODS``
has both. Swaps and reenactments are folders of frames (or the original videos); syntheses and edits are single images,
though they lie in folders, because those in one folder show different faces. Below ``ff`` and ``cdf`` names are read as
FF++'s and Celeb-DF's, target first *(unchecked)*. Nobody published names or counts of files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curation.sources.error import SourceError, few
from curation.sources.listing import MP4, descend, is_image, make_video, no_layout, of_fake, of_real
from curation.sources.published import ffpp_split_of_fake, ffpp_split_of_sequence
from curation.sources.remote import Place, place_of
from curation.sources.sequences import Clip, frames_clip
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import Entry, list_folder, open_root, split_extension
from curation.sources.video import Video, identify

NAME = "df40"
DATASET = "df40"
LICENCE = "CC-BY-NC-4.0 (DF40); what it is made from has terms of its own, which forbid redistribution"

_TABLE = {  # category: the paper's names, each with other names of its folder
    "swap": "FSGAN FaceSwap SimSwap InSwapper=inswap BlendFace UniFace MobileSwap e4s FaceDancer DeepFaceLab",
    "reenactment": "FOMM FS_vid2vid=facevid2vid Wav2Lip MRAA OneShot=one_shot_free PIRender TPSM LIA DaGAN=danet "
    "SadTalker MCNet HyperReenact HeyGen",
    "synthesis": "VQGAN StyleGAN2 StyleGAN3 StyleGAN-XL SD-2.1 DDPM=ddim RDDM PixArt-alpha=pixart DiT-XL-2=DiT "
    "SiT-XL-2=SiT MidJourney6=MidJourney WhichisReal=whichfaceisreal",
    "edit": "CollabDiff e4e StarGAN StarGANv2 StyleCLIP",
}
DOMAINS = ("ff", "cdf", "fake", "real")
SKIP = frozenset({"landmarks", "masks", "mask", "latents"})


def _key(folder: str) -> str:
    return re.sub(r"[-_.\s]", "", folder).lower()


METHODS: dict[str, tuple[str, str]] = {  # folder without case and punctuation: (the paper's name, category)
    _key(spelling): (names.split("=")[0], category)
    for category, table in _TABLE.items()
    for names in table.split()
    for spelling in names.split("=")
}
COUNT = len({name for name, _ in METHODS.values()})

_FF = re.compile(r"(?P<target>\d{3})(?:_(?P<source>\d{3}))?", re.ASCII)
_CDF = re.compile(r"(?P<target>id\d+)(?:_(?P<source>id\d+))?_(?P<clip>\d{4})", re.ASCII)


@dataclass(frozen=True)
class Found:
    """One clip: a folder of frames, an image or a video; ``inner`` is its path below the method's folder."""

    clip: Entry | Clip
    inner: str
    kind: str


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like DF40 (0 to 1), and why."""
    root = place_of(root)
    found = [path for path in _method_folders(root).values() if _domains(root, path)]
    return (min(1.0, 0.5 + 0.1 * len(found)), f"it holds DF40's {few(found, 3)}") if found else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read a DF40 tree: the folder that holds the methods' folders.

    Raises LayoutError for another tree, SourceError where two folders are one method.
    """
    root = open_root(root, NAME)
    videos, rows = [], []
    folders = _method_folders(root)
    for method, path in folders.items():
        read, strangers = _read(root, method, path, name)
        videos += read
        fakes = sum(video.label for video in read)
        rows.append(CompletenessRow(DATASET, method, "native", None, fakes, unexpected=sorted(strangers)))
        if reals := len(read) - fakes:
            rows.append(CompletenessRow(DATASET, "original", "native", None, reals, part=method))
    if not videos:
        raise no_layout(
            "DF40",
            root,
            "<method>/{ff,cdf}/... or <method>/{fake,real}/... with images, like simswap/ff/frames/000_003/",
        )
    own = set(folders.values())
    other = [entry.described() for entry in list_folder(root) if entry.path not in own and entry.kind == "folder"]
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=videos,
        rows=rows,
        notes=[
            f"{len(folders)} of {COUNT} methods are here",
            "real images of the methods in ff/ and cdf/ are FF++'s and Celeb-DF's: scan those",
        ],
        warnings=[f"no method of DF40 and not read: {few(other, 8)}"] if other else [],
    )


def _method_folders(root: Place) -> dict[str, str]:
    """The folders of known methods, by the paper's name."""
    found: dict[str, str] = {}
    for entry in list_folder(root):
        method = METHODS.get(_key(entry.name)) if entry.kind == "folder" else None
        if method is None:
            continue
        if method[0] in found:
            raise SourceError(f"{few([found[method[0]], entry.path])} are both DF40's {method[0]}: merge them.")
        found[method[0]] = entry.path
    return found


def _domains(root: Place, path: str) -> list[Entry]:
    return [entry for entry in list_folder(root, path) if entry.kind == "folder" and entry.name.lower() in DOMAINS]


def _read(root: Place, method: str, path: str, source: str) -> tuple[list[Video], list[str]]:
    category = METHODS[_key(path)][1]
    strangers: list[str] = []
    domains = _domains(root, path)
    videos = [
        _video(method, category, domain.name.lower(), found, source)
        for domain in domains
        for found in _clips(root, domain.path, path, category in ("swap", "reenactment"), strangers)
    ]
    beside = [entry for entry in list_folder(root, path) if entry not in domains and entry.name.lower() not in SKIP]
    return videos, strangers + [entry.described() for entry in beside]


def _clips(root: Place, path: str, method: str, moving: bool, strangers: list[str]) -> Iterator[Found]:
    for folder, entries in descend(root, path, 5, SKIP):
        inner = folder.removeprefix(method).strip("/")
        clip = frames_clip(folder, entries) if moving else None
        if clip:
            yield Found(clip, inner, "frames")
        for entry in entries:
            stem = f"{inner}/{split_extension(entry.name)[0]}"
            if entry.kind == "file" and entry.extension in MP4:
                yield Found(entry, stem, "video")
            elif is_image(entry) and not moving:
                yield Found(entry, stem, "image")
            elif entry.kind != "folder" and not is_image(entry):
                strangers.append(f"{inner}/{entry.described()}")


def _video(method: str, category: str, domain: str, found: Found, source: str) -> Video:
    parts = [part for part in found.inner.split("/") if part.lower() not in ("frames", "videos")]
    name = "/".join([domain, *parts[1:]])
    if domain == "real":
        said, method, name = of_real(), "original", f"{method}/{name}"
    else:
        said = _describe(category, domain, parts[-1])
    return make_video(
        DATASET,
        method,
        name,
        found.clip,
        source,
        raw_label=domain,
        kind=found.kind,
        aligned=found.kind != "video",
        **said,
    )


def _describe(category: str, domain: str, name: str) -> dict[str, Any]:
    """What a fake's own name tells: people, original and, of FF++'s pairs, the official split."""
    match = {"ff": _FF, "cdf": _CDF}.get(domain, _FF).fullmatch(name) if category in ("swap", "reenactment") else None
    if match is None or domain not in ("ff", "cdf"):
        return of_fake(category)
    space = "ffpp" if domain == "ff" else "celebdf"
    target, source = (f"{space}:{person}" if person else None for person in match.group("target", "source"))
    if domain == "cdf":
        original = identify("celebdf-v2", "Celeb-real", "native", f"{match['target']}_{match['clip']}")
        return {**of_fake(category, target, source), "original_video": original}
    split = ffpp_split_of_fake().get(name) or ffpp_split_of_sequence().get(match["target"] if not source else "")
    original = identify("ffpp", "original", "c23", match["target"])
    return {**of_fake(category, target, source), "original_video": original, "official_split": split}

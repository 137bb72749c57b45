"""WildDeepfake: face sequences from the internet, cropped to 224x224, in archives of four folders.

An archive ``fake_train/1.tar.gz`` holds ``./1/fake/131/942.png``: the archive's number, the label, the sequence and the
frame's number (file list of https://huggingface.co/datasets/xingjunm/WildDeepfake). Frames are read from unpacked
folders only: a gzip stream has no random access, so reading one sequence would decompress all that lies before it.
Which sequences come from one video was not published, nor who is in them, nor counts by folder; 7,314 is the total.
"""

import re
from collections import defaultdict

from curation.sources.error import SourceError, few
from curation.sources.listing import descend, is_image, make_video, no_layout, of_fake, of_real
from curation.sources.remote import Place, place_of
from curation.sources.sequences import frames_clip
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import find_folder, list_folder, open_root
from curation.sources.video import Video

NAME = "wilddeepfake"
DATASET = "wilddeepfake"
LICENCE = "WildDeepfake, https://github.com/OpenTAI/wild-deepfake: research only, footage of third parties"
TOTAL = 7_314  # sequences (Zi et al. 2020)
FOLDERS = {f"{label}_{split}": (label, split) for label in ("real", "fake") for split in ("train", "test")}

_SEQUENCE = re.compile(r"(?P<archive>\d+)/(?:(?P=archive)/)?(?:(?P<label>real|fake)/)?(?P<sequence>[^/]+)", re.ASCII)
_ARCHIVE = re.compile(r"(?P<archive>\d+)\.(?:tar\.gz|tgz|tar)", re.ASCII)


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like WildDeepfake (0 to 1), and why."""
    found = _folders(place_of(root))
    return (min(1.0, 0.3 + 0.2 * len(found)), f"it holds {few(found.values())}") if len(found) > 1 else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read the unpacked sequences, each a clip of frames. A clip is called ``fake_train/1/131``.

    Raises LayoutError for another tree, SourceError where only archives are there (and says how to unpack them).
    """
    root = open_root(root, NAME)
    folders = _folders(root)
    looked_for = "{real,fake}_{train,test}/N/<label>/<sequence>/<frame>.png (each N.tar.gz unpacked beside itself)"
    if not folders:
        raise no_layout("WildDeepfake", root, looked_for)
    videos, rows, packed = [], [], []
    for folder, path in folders.items():
        read, strangers, archives = _read(root, path, folder, name)
        videos += read
        absent = sorted(set(archives) - {video.name.split("/")[1] for video in read}, key=int)
        packed += [archives[number] for number in absent]
        label, split = FOLDERS[folder]
        missing = [f"{archives[number].rpartition('/')[2]} (not unpacked)" for number in absent]
        method = "original" if label == "real" else "wild"
        rows.append(CompletenessRow(DATASET, method, "native", None, len(read), missing, sorted(strangers), part=split))
    if not videos and packed:
        raise SourceError(
            f"{root} still holds WildDeepfake's archives ({few(packed, 3)}), and frames are read from folders. Unpack "
            "each beside itself with GNU tar, which refuses names that lead out of the folder: in each of the four "
            'folders run `for archive in *.tar.gz; do tar --no-same-owner -xzf "$archive"; done`, then scan again.'
        )
    if not videos:
        raise no_layout("WildDeepfake", root, looked_for)
    warnings = [f"no folder {folder}" for folder in FOLDERS if folder not in folders]
    if packed:
        warnings.append(f"{len(packed)} archives are not unpacked: {few(packed, 3)}")
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        redistributable=False,
        config={},
        videos=videos,
        rows=rows,
        notes=[
            f"{len(videos):,} sequences; {TOTAL:,} were published, without counts by folder",
            "no validation split, and sequences of one video are not grouped: one cut from train may share footage",
        ],
        warnings=warnings,
    )


def _folders(root: Place) -> dict[str, str]:
    """The four folders that are there, also one level deeper in ``deepfake_in_the_wild/`` and spelled with blanks."""
    inner = find_folder(root, "", "deepfake_in_the_wild")
    found: dict[str, str] = {}
    for entry in [entry for parent in ("", inner) if parent is not None for entry in list_folder(root, parent)]:
        folder = re.sub(r"[ -]+", "_", entry.name.strip().lower())
        if entry.kind != "folder" or folder not in FOLDERS:
            continue
        if folder in found:
            raise SourceError(f"{few([found[folder], entry.path])} are one folder of WildDeepfake: keep one of them.")
        found[folder] = entry.path
    return dict(sorted(found.items()))


def _read(root: Place, path: str, folder: str, source: str) -> tuple[list[Video], list[str], dict[str, str]]:
    """The sequences of one folder, its strangers, and its archives (number -> path)."""
    label, split = FOLDERS[folder]
    videos: list[Video] = []
    strangers: list[str] = []
    archives: dict[str, str] = {}
    loose: dict[str, int] = defaultdict(int)
    for below, entries in descend(root, path, 4):
        relative = below.removeprefix(path).strip("/")
        for entry in entries:
            packed = _ARCHIVE.fullmatch(entry.name) if not relative else None
            if packed and entry.kind == "file":
                archives[packed["archive"]] = entry.path
            elif entry.kind != "folder" and not is_image(entry):
                strangers.append(f"{relative}/{entry.described()}".lstrip("/"))
        clip = frames_clip(below, entries)
        if clip is None:
            continue
        sequence = _SEQUENCE.fullmatch(relative)
        if sequence is None or sequence["label"] not in (None, label):
            loose[relative] = sum(map(is_image, entries))
            continue
        name = f"{folder}/{sequence['archive']}/{sequence['sequence']}"
        method, said = ("original", of_real()) if label == "real" else ("wild", of_fake("unknown"))
        videos.append(
            make_video(
                DATASET,
                method,
                name,
                clip,
                source,
                raw_label=path.rpartition("/")[2],
                official_split=split,
                kind="frames",
                aligned=True,
                **said,
            )
        )
    strangers += [f"{where or '.'}/ ({count} images)" for where, count in loose.items()]
    return videos, strangers, archives

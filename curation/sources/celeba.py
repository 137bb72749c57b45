"""CelebA: 202,599 photographs of 10,177 celebrities, ``img_align_celeba/000001.jpg`` to ``202599.jpg``, all real.

Names are numbers without gaps. ``identity_CelebA.txt`` tells who is seen and ``list_eval_partition.txt`` the split (0
train, 1 validation, 2 test); both are read from the tree's root, ``Anno/`` or ``Eval/`` (Liu et al. 2015, the archive's
README), the split also as the CSV file that a much used copy has. ``img_celeba`` are the uncropped photographs.
"""

import re

from curation.sources.error import few
from curation.sources.listing import find_file, is_image, make_video, no_layout, of_real, read_lines, wrong_list
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source, compare
from curation.sources.tree import Entry, find_folder, list_folder, open_root
from curation.sources.video import Video

NAME = "celeba"
DATASET = "celeba"
LICENCE = (
    "CelebA agreement, https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html: non-commercial research, no redistribution"
)
COUNT = 202_599
FOLDERS = {"img_align_celeba": "aligned", "img_celeba": "wild"}  # folder: quality
IDENTITIES = "identity_CelebA.txt"
PARTITION = ("list_eval_partition.txt", "list_eval_partition.csv")
SPLITS = {"0": "train", "1": "val", "2": "test"}

_IMAGE = re.compile(r"\d{6}\.jpg", re.ASCII)
_LINE = re.compile(r"(\d{6}\.jpg)[\s,]+(\d+)", re.ASCII)


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like CelebA (0 to 1), and why."""
    found = _folders(place_of(root))
    return (1.0, f"it holds {few(found.values())}") if found else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read a CelebA tree. Raises LayoutError for another one, SourceError for a list that is not one."""
    root = open_root(root, NAME)
    people = _read_list(_find(root, IDENTITIES))
    partition = _read_list(_find(root, *PARTITION), SPLITS)
    videos: list[Video] = []
    rows: list[CompletenessRow] = []
    for folder, path in _folders(root).items():
        quality = FOLDERS[folder]
        images, strangers = _read(root, path)
        videos += [_video(entry, quality, folder, people, partition, name) for entry in images.values()]
        expected = {f"{number:06d}.jpg" for number in range(1, COUNT + 1)}
        found = set(images) | set(strangers)
        rows.append(compare(found, expected, dataset=DATASET, method="original", quality=quality))
    if not videos:
        raise no_layout("CelebA", root, "img_align_celeba/000001.jpg (also in Img/), or img_celeba/000001.jpg")
    notes = [] if people else [f"no {IDENTITIES}: people are not known"]
    notes += [] if partition else [f"no {PARTITION[0]}: no official split"]
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        videos=videos,
        rows=rows,
        notes=notes,
    )


def _folders(root: Place) -> dict[str, str]:
    """The folders of images: in the root or ``Img/``, also where an archive was unpacked into a folder of its name."""
    found = {}
    parents = [parent for parent in ("", find_folder(root, "", "Img")) if parent is not None]
    for folder in FOLDERS:
        path = next((at for parent in parents if (at := find_folder(root, parent, folder))), None)
        if path:
            found[folder] = find_folder(root, path, folder) or path
    return found


def _find(root: Place, *files: str) -> Place | None:
    return find_file(root, *(f"{folder}{file}" for file in files for folder in ("", "Anno/", "Eval/")))


def _read_list(file: Place | None, words: dict[str, str] | None = None) -> dict[str, str]:
    """What a list says of each image, translated where ``words`` are given; a CSV file's first line may be a header."""
    said: dict[str, str] = {}
    for number, line in read_lines(file) if file else ():
        match = _LINE.fullmatch(line)
        if match is None and number == 1 and line.startswith("image_id"):
            continue
        if match is None or (words and match[2] not in words) or match[1] in said:
            raise wrong_list(file, f'{line!r} is not like "000001.jpg 2880", or names an image again', number)
        said[match[1]] = words[match[2]] if words else match[2]
    return said


def _read(root: Place, path: str) -> tuple[dict[str, Entry], list[str]]:
    images, strangers = {}, []
    for entry in list_folder(root, path):
        if is_image(entry) and _IMAGE.fullmatch(entry.name) and 0 < int(entry.stem) <= COUNT:
            images[entry.name] = entry
        else:
            strangers.append(entry.described())
    return images, strangers


def _video(
    entry: Entry, quality: str, folder: str, people: dict[str, str], partition: dict[str, str], source: str
) -> Video:
    person = people.get(entry.name)
    return make_video(
        DATASET,
        "original",
        entry.stem,
        entry,
        source,
        quality=quality,
        raw_label=folder,
        official_split=partition.get(entry.name),
        kind="image",
        **of_real(f"{DATASET}:{person}" if person else None),
    )

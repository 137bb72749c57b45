"""FFHQ: 70,000 photographs of faces from Flickr, ``images1024x1024/00000/00000.png`` to ``69000/69999.png``.

Names, folders of a thousand, the first 60,000 for training and the rest for validation, and the licences are those of
NVlabs' README. ``ffhq-dataset-v2.json`` tells every file's size, which a scan compares where the list is there (its MD5
sums would need every byte to be read). The same image in another size is another quality.
"""

import re

from curation.sources.error import few
from curation.sources.listing import find_file, is_image, make_video, no_layout, of_real, read_json
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source, compare
from curation.sources.tree import Entry, find_folder, list_folder, open_root
from curation.sources.video import Video

NAME = "ffhq"
DATASET = "ffhq"
LICENCE = (
    "CC-BY-NC-SA-4.0 (dataset); photographs under licences that allow redistribution for non-commercial purposes, some "
    "only with credit and changes named: authors and licences are in ffhq-dataset-v2.json"
)
LIST = "ffhq-dataset-v2.json"
COUNT, TRAIN = 70_000, 60_000
FOLDERS = {  # folder: (quality, its entry in the list)
    "images1024x1024": ("1024", "image"),
    "thumbnails128x128": ("128", "thumbnail"),
    "in-the-wild-images": ("wild", "in_the_wild"),
}

_IMAGE = re.compile(r"\d{5}\.png", re.ASCII)


def recognise(root: str | Place) -> tuple[float, str]:
    """How much a folder looks like FFHQ (0 to 1), and why."""
    found = [folder for folder in FOLDERS if find_folder(place_of(root), "", folder)]
    return (1.0, f"it holds {few(found)}") if found else (0.0, "")


def open_source(root: str | Place, *, name: str = DATASET) -> Source:
    """Read an FFHQ tree, in folders of a thousand or flat. Raises LayoutError for another one."""
    root = open_root(root, NAME)
    videos: list[Video] = []
    rows: list[CompletenessRow] = []
    warnings: list[str] = []
    file = find_file(root, LIST)
    listed = read_json(file) if file else {}
    for folder, (quality, key) in FOLDERS.items():
        path = find_folder(root, "", folder)
        if path is None:
            continue
        images, strangers = _read(root, path)
        videos += [_video(entry, quality, folder, name) for entry in images.values()]
        expected = {f"{number:05d}.png" for number in range(COUNT)}
        found = set(images) | set(strangers)
        rows.append(compare(found, expected, dataset=DATASET, method="original", quality=quality))
        wrong = [
            entry.path
            for entry in images.values()
            if (size := _size(listed, int(entry.stem), key)) is not None and size != entry.bytes
        ]
        if wrong:
            warnings.append(f"{len(wrong):,} files have another size than {LIST} says: {few(wrong)}. Fetch them again")
    if not videos:
        raise no_layout("FFHQ", root, "images1024x1024/00000/00000.png (also thumbnails128x128, in-the-wild-images)")
    return Source(
        adapter=NAME,
        source=name,
        root=root,
        licence=LICENCE,
        redistributable=True,
        videos=videos,
        rows=rows,
        notes=[] if listed else [f"no {LIST}: sizes are not compared"],
        warnings=warnings,
    )


def _read(root: Place, path: str) -> tuple[dict[str, Entry], list[str]]:
    """The images by name, and the strangers: other files, and images in the folder of another thousand."""
    images: dict[str, Entry] = {}
    strangers = []
    for entry in list_folder(root, path):
        if entry.kind != "folder":
            _add(entry, True, images, strangers)
            continue
        for inner in list_folder(root, entry.path):
            _add(inner, entry.name == f"{inner.stem[:2]}000", images, strangers)
    return images, strangers


def _add(entry: Entry, in_place: bool, images: dict[str, Entry], strangers: list[str]) -> None:
    known = is_image(entry) and _IMAGE.fullmatch(entry.name) and int(entry.stem) < COUNT
    if known and in_place and entry.name not in images:
        images[entry.name] = entry
    else:
        strangers.append("/".join(entry.path.split("/")[1:-1] + [entry.described()]))


def _size(listed: dict, number: int, key: str) -> int | None:
    said = listed.get(str(number))
    said = said.get(key) if isinstance(said, dict) else None
    return said.get("file_size") if isinstance(said, dict) else None


def _video(entry: Entry, quality: str, folder: str, source: str) -> Video:
    split = "train" if int(entry.stem) < TRAIN else "val"
    return make_video(
        DATASET,
        "original",
        entry.stem,
        entry,
        source,
        quality=quality,
        raw_label=folder,
        official_split=split,
        kind="image",
        **of_real(),
    )

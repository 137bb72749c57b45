"""Trees of tiny files laid out as the datasets publish them; names are derived here anew, not by the adapters."""

import json
from collections.abc import Iterable
from pathlib import Path

from curation.sources import Source

DATA = Path(__file__).parents[3] / "curation" / "sources" / "data"
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")


def touch(folder: Path, names: Iterable[str], content: bytes = b"") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content)


def published_pairs() -> dict[str, list[list[str]]]:
    lists = json.loads((DATA / "ffpp_splits.json").read_text())
    return {split: [pair.split("_") for pair in lists[split]] for split in ("train", "val", "test")}


def originals() -> list[str]:
    return [f"{number:03d}.mp4" for number in range(1000)]


def fakes() -> list[str]:
    names = []
    for pairs in published_pairs().values():
        for one, other in pairs:
            names += [f"{one}_{other}.mp4", f"{other}_{one}.mp4"]
    return names


def ffpp(root: Path, methods: Iterable[str] = METHODS, qualities: Iterable[str] = ("c23",), masks: bool = True) -> Path:
    """FF++ with all its 1000 names per folder."""
    for quality in qualities:
        touch(root / "original_sequences" / "youtube" / quality / "videos", originals())
        for method in methods:
            touch(root / "manipulated_sequences" / method / quality / "videos", fakes())
    for method in methods:
        if masks and method != "FaceShifter":
            touch(root / "manipulated_sequences" / method / "masks" / "videos", fakes())
    return root


def rows(source: Source) -> dict[tuple[str, ...], object]:
    """Completeness by (method, quality), or (method, quality, part) where a row is for a part."""
    return {(row.method, row.quality, *([row.part] if row.part else [])): row for row in source.completeness()}


def by_name(source: Source) -> dict[str, object]:
    return {video.name: video for video in source.videos}

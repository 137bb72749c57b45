"""The lists that datasets publish, packaged with the code: splits, test lists, YouTube ids.

They are the ground of every expected name and every official split, whatever lists a copy on disk carries. Each data
file names its source; ``meaning`` says how it was condensed.
"""

import json
from functools import cache
from importlib import resources
from typing import Any

SPLITS = ("train", "val", "test")


@cache
def _load(name: str) -> dict[str, Any]:
    return json.loads(resources.files("curation.sources").joinpath("data", name).read_text(encoding="utf-8"))


@cache
def ffpp_pairs() -> dict[str, tuple[tuple[str, str], ...]]:
    """FF++'s official splits: ``{"train": (("071", "054"), ...), "val": ..., "test": ...}``, 360/70/70 pairs."""
    lists = _load("ffpp_splits.json")
    return {split: tuple(tuple(pair.split("_")) for pair in lists[split]) for split in SPLITS}


@cache
def ffpp_split_of_sequence() -> dict[str, str]:
    """``{"071": "train", ...}`` for all 1000 sequences; also the names of the originals."""
    return {sequence: split for split, pairs in ffpp_pairs().items() for pair in pairs for sequence in pair}


@cache
def ffpp_split_of_fake() -> dict[str, str]:
    """``{"071_054": "train", "054_071": "train", ...}``: the 1000 names (target_source) that every method has."""
    return {
        f"{target}_{source}": split
        for split, pairs in ffpp_pairs().items()
        for a, b in pairs
        for target, source in ((a, b), (b, a))
    }


@cache
def ffpp_youtube() -> dict[str, tuple[str, int]]:
    """``{"000": ("--b1Ua-kWJE", 0), ...}``: the YouTube video of each sequence, and the clip's number in it.

    1000 sequences come from 977 YouTube videos: sequences with one YouTube id show one person in one place.
    """
    entries = [entry.split(" ") for entry in _load("ffpp_youtube_ids.json")["sequences"]]
    return {f"{number:03d}": (youtube, int(clip)) for number, (youtube, clip) in enumerate(entries)}


@cache
def celebdf_v2_test() -> dict[str, frozenset[str]]:
    """Celeb-DF v2's official test names by folder, without extension: 108 Celeb-real, 70 YouTube-real, 340 fake."""
    lists = _load("celebdf_v2_test.json")
    return {folder: frozenset(lists[folder]) for folder in ("Celeb-real", "YouTube-real", "Celeb-synthesis")}

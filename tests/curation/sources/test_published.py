"""The packaged lists: that they still are the published ones, and that what is derived from them holds."""

import csv
import hashlib
import json
from itertools import combinations
from pathlib import Path

import queries
from curation.sources.published import (
    celebdf_v2_test,
    ffpp_pairs,
    ffpp_split_of_fake,
    ffpp_split_of_sequence,
    ffpp_youtube,
)


def digest(value) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()


def test_the_lists_are_those_that_were_published():
    # hashes of the published files' content: pairs in their order, ids by sequence, sorted lines of the test list
    assert digest([ffpp_pairs()[split] for split in ("train", "val", "test")]) == PAIRS
    assert digest({name: f"{youtube} {clip}" for name, (youtube, clip) in ffpp_youtube().items()}) == YOUTUBE
    lines = [
        f"{int(folder != 'Celeb-synthesis')} {folder}/{name}.mp4"
        for folder, names in celebdf_v2_test().items()
        for name in names
    ]
    assert digest(sorted(lines)) == TEST_LINES


def test_the_official_splits_are_disjoint_and_cover_all_thousand_sequences():
    assert {split: len(pairs) for split, pairs in ffpp_pairs().items()} == {"train": 360, "val": 70, "test": 70}
    assert sorted(ffpp_split_of_sequence()) == [f"{number:03d}" for number in range(1000)]
    assert sum(len(pairs) for pairs in ffpp_pairs().values()) * 2 == 1000


def test_every_fake_exists_in_both_directions_and_in_one_split():
    splits = ffpp_split_of_fake()
    assert len(splits) == 1000
    for name, split in splits.items():
        target, source = name.split("_")
        assert splits[f"{source}_{target}"] == split
        assert ffpp_split_of_sequence()[target] == ffpp_split_of_sequence()[source] == split


def test_known_sequences_share_a_youtube_video():
    youtube = ffpp_youtube()
    assert len({video for video, _ in youtube.values()}) == 977
    for one, other in (("755", "756"), ("955", "954"), ("605", "606"), ("982", "983"), ("942", "943")):
        assert youtube[one][0] == youtube[other][0]
        assert youtube[one][1] != youtube[other][1]


def test_the_celebdf_test_list_has_518_videos():
    assert {folder: len(names) for folder, names in celebdf_v2_test().items()} == {
        "Celeb-real": 108,
        "YouTube-real": 70,
        "Celeb-synthesis": 340,
    }


def test_the_catalogs_aliases_are_every_pair_of_sequences_of_one_youtube_video():
    with (Path(queries.__file__).parent / "aliases.csv").open(newline="") as file:
        rows = [(row["one"], row["other"]) for row in csv.DictReader(file) if row["kind"] == "recording"]
    video_of = {f"ffpp:{sequence}": video for sequence, (video, _) in ffpp_youtube().items()}
    assert sorted(rows) == sorted(
        (one, other) for one, other in combinations(sorted(video_of), 2) if video_of[one] == video_of[other]
    )


PAIRS = "e062ab3d4301673b5e424cfce8cce0d4b85e7845f3ad1edef53c48f22ffb4e8c"
YOUTUBE = "e3ab5246ff9cdaad053fdc64edb5633bb5da9f9866bc4d34a73ba84cc0728ca2"
TEST_LINES = "45ad2d1488d57d3e0508366f981b149e7da55ee957d4d3e2707ada3c8327efc1"

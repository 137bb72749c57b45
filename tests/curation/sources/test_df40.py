"""DF40: folders by any of their names, frames and single images, FF++'s and Celeb-DF's names below ff and cdf."""

import pytest

from curation.sources import SourceError, open_source
from curation.sources.df40 import METHODS
from tests.curation.sources.layouts import df40, put, put_frames
from tests.curation.sources.trees import published_pairs

# folders of the published archives and the paper's table, from DF40's README and its list of labels
TABLE = {
    "swap": "FSGAN FaceSwap SimSwap InSwapper BlendFace UniFace MobileSwap e4s FaceDancer DeepFaceLab",
    "reenactment": "FOMM FS_vid2vid Wav2Lip MRAA OneShot PIRender TPSM LIA DaGAN SadTalker MCNet HyperReenact HeyGen",
    "synthesis": "VQGAN StyleGAN2 StyleGAN3 StyleGAN-XL SD-2.1 DDPM RDDM PixArt-alpha DiT-XL-2 SiT-XL-2 MidJourney6 "
    "WhichisReal",
    "edit": "CollabDiff e4e StarGAN StarGANv2 StyleCLIP",
}
FOLDERS = [
    "e4s",
    "MidJourney",
    "deepfacelab",
    "danet",
    "fomm",
    "e4e",
    "hyperreenact",
    "MRAA",
    "one_shot_free",
    "pirender",
    "tpsm",
    "facedancer",
    "facevid2vid",
    "mcnet",
    "fsgan",
    "lia",
    "inswap",
    "simswap",
    "sadtalker",
    "wav2lip",
    "uniface",
    "blendface",
    "mobileswap",
    "faceswap",
    "heygen",
    "whichisreal",
    "StyleGAN2",
    "StyleGAN3",
    "StyleGANXL",
    "ddim",
    "DiT",
    "pixart",
    "SiT",
    "sd2.1",
    "VQGAN",
    "stargan",
    "starganv2",
    "styleclip",
    "CollabDiff",
    "RDDM",
]


def test_forty_folders_are_forty_methods_of_the_papers_categories(tmp_path):
    assert len(FOLDERS) == 40
    put_frames(tmp_path, {f"{folder}/ff/frames/000_003": 1 for folder in FOLDERS}, ("1.png",))
    source = open_source("df40", tmp_path)
    found = {}
    for video in source.videos:
        found.setdefault(video.category, set()).add(video.method)
    assert found == {category: set(names.split()) for category, names in TABLE.items()}
    assert [len(found[category]) for category in TABLE] == [10, 13, 12, 5]
    assert "40 of 40 methods are here" in source.notes
    assert source.warnings == []


@pytest.mark.parametrize("names", [("danet", "DaGAN"), ("sd2.1", "SD-2.1"), ("whichfaceisreal", "WhichisReal")])
def test_two_folders_of_one_method_are_an_error(tmp_path, names):
    put_frames(tmp_path, {f"{name}/ff/frames/000_003": 1 for name in names})
    with pytest.raises(SourceError, match="are both DF40's"):
        open_source("df40", tmp_path)


def test_swaps_and_reenactments_are_clips_and_syntheses_and_edits_are_images(tmp_path):
    df40(tmp_path)
    for video in open_source("df40", tmp_path).videos:
        if video.path.endswith(".mp4"):
            assert (video.kind, video.aligned) == ("video", False)
        else:
            assert video.kind == ("image" if video.path.endswith(".png") else "frames")
            assert video.aligned


def test_people_and_originals_below_ff_and_cdf_are_those_of_the_datasets_they_come_from(tmp_path):
    df40(tmp_path)
    videos = [video for video in open_source("df40", tmp_path).videos if video.category in ("swap", "reenactment")]
    for video in videos:
        domain, _, name = video.name.partition("/")
        if domain == "ff":
            target, source = name.split("_")
            assert (video.target_id, video.source_id) == (f"ffpp:{target}", f"ffpp:{source}")
            assert video.original_video == f"ffpp/original/c23/{target}"
        elif domain == "cdf":
            assert (video.target_id, video.source_id) == ("celebdf:id0", "celebdf:id1")
            assert video.original_video == "celebdf-v2/Celeb-real/native/id0_0000"
        else:
            assert video.target_id is video.original_video is None
            continue
        assert video.visible_id == (video.source_id if video.category == "swap" else video.target_id)


def test_ffpps_pairs_keep_their_official_split(tmp_path):
    splits = {f"{a}_{b}": split for split, pairs in published_pairs().items() for a, b in pairs[:5]}
    put_frames(tmp_path, {f"lia/ff/frames/{name}": 1 for name in [*splits, "000_001"]}, ("1.png",))
    found = {video.name.removeprefix("ff/"): video.official_split for video in open_source("df40", tmp_path).videos}
    assert found == {**splits, "000_001": None}


def test_a_folder_that_is_no_method_and_other_files_are_said(tmp_path):
    df40(tmp_path)
    put(tmp_path, {"roop/ff/frames/000_003/1.png": 1, "simswap/readme.txt": 1, "simswap/ff/list.json": 1})
    source = open_source("df40", tmp_path)
    assert any("roop/" in warning for warning in source.warnings)
    (row,) = [row for row in source.completeness() if row.method == "SimSwap"]
    assert row.unexpected == ["ff/list.json", "readme.txt"]
    assert row.expected is None


def test_a_spelling_is_never_two_methods():
    assert len({name for name, _ in METHODS.values()}) == 40

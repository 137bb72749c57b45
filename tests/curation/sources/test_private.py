"""The shipped descriptions: one for each set of a table of 32, and two of its results; each is loaded and applied."""

import re

import pytest

from curation.sources import ADAPTERS, SourceError, open_source
from curation.sources.description import find_description, read_description, shipped
from tests.conftest import REPOSITORY
from tests.curation.sources.trees import touch

# table 3.1 as it is printed; a dash where it names no algorithm
TABLE = """
blendswap-swapped      Fake       Face Swap
CelebA                 Real       -
CelebA-GFPGAN          Fake       GFPGAN
CelebDF                Fake+Real  Face Swap
Cheap-Morphs           Fake       Face Morph
DeeperForensics        Fake+Real  Face Swap
DFDM                   Fake       Face Swap
faceapp-faceswap       Fake       Face Swap
faceapp-morph          Fake       Face Morph
FaceForensics/actors          Real  -
FaceForensics/Deepfakes       Fake  Face Swap
FaceForensics/Face2Face       Fake  Talking Head
FaceForensics/FaceSwap        Fake  Face Swap
FaceForensics/NeuralTextures  Fake  Face Swap
FaceForensics/youtube         Real  -
FFHQ                   Real       -
FFHQ-GFPGAN            Fake       GAN
FRLL-Morphs            Fake       Face Morph
iFakeFaceDB            Fake       GAN
insightface-swapped    Fake       Face Swap
LRS3                   Real       -
MegaFS                 Fake       Face Swap
Ms-Celeb-1M            Real       -
reface                 Fake       Face Swap
simswap-swapped        Fake       Face Swap
stable-diffusion       Fake       Stable Diffusion
synthesis-generated    Fake       Face Synthesis
TPDNE                  Fake       GAN
tedx                   Real       -
unstable-diffusion     Fake       Unstable Diffusion
VGGFace                Real       -
Wav2lip                Fake       Lip Sync
"""
SETS = {
    name: (kind, algorithm) for name, kind, algorithm in (line.split(None, 2) for line in TABLE.split("\n") if line)
}
ALL = {**SETS, "Defacto-morphs": ("Fake", "Face Morph"), "StyleGAN3": ("Fake", "GAN")}


def file_name(name: str) -> str:
    return f"private/{name.replace('/', '-')}"


def scan(name: str, root):
    for folder in ("real", "fake"):
        touch(root / folder / "deeper", ["one.jpg", "one.png", "two.mp4", "notes.txt"], b"x")
    return open_source("folder", root, config=file_name(name))


def test_there_is_a_description_of_every_set_and_of_no_other():
    assert len(SETS) == 32
    assert [name for name in shipped() if name.startswith("private/")] == sorted(map(file_name, ALL))


def test_the_page_on_private_sets_names_every_one():
    page = (REPOSITORY / "docs" / "private-sets.md").read_text()
    named = set(re.findall(r"[\w./-]+", page))
    assert [name for name in shipped() if name.removeprefix("private/") not in named] == []


@pytest.mark.parametrize("name", sorted(ALL))
def test_it_says_of_every_file_what_the_table_says_of_the_set(name, tmp_path):
    kind, algorithm = ALL[name]
    source = scan(name, tmp_path)
    assert source.datasets == [source.source] == [name.replace("/", "-")]
    assert not source.redistributable
    assert source.warnings == []
    assert {video.kind for video in source.videos} in ({"image"}, {"video"})
    wanted = {".jpg", ".png"} if source.videos[0].kind == "image" else {".mp4"}
    assert {video.path for video in source.videos} == {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.suffix in wanted
    }
    for video in source.videos:
        fake = video.path.startswith("fake/") if kind == "Fake+Real" else kind == "Fake"
        assert video.label == fake
        assert video.method == (algorithm.lower().replace(" ", "-") if fake else "original")
        assert (video.category == "real") == (not fake)
        assert video.category != "unknown"


@pytest.mark.parametrize(
    ("algorithm", "categories"),
    [
        ("Face Swap", {"swap", "reenactment"}),  # the table calls NeuralTextures a swap
        ("Talking Head", {"reenactment"}),
        ("Lip Sync", {"reenactment"}),
        ("Face Morph", {"edit"}),
        ("GFPGAN", {"edit"}),
        ("GAN", {"synthesis", "edit"}),  # FFHQ-GFPGAN restores photographs
        ("Stable Diffusion", {"synthesis"}),
        ("Unstable Diffusion", {"synthesis"}),
        ("Face Synthesis", {"synthesis"}),
    ],
)
def test_one_algorithm_is_of_the_categories_that_it_can_be(algorithm, categories, tmp_path):
    found = {
        video.category
        for name, (_, word) in ALL.items()
        if word == algorithm
        for video in scan(name, tmp_path).videos
        if video.label
    }
    assert found == categories


def test_a_set_that_has_an_adapter_has_its_licence():
    for name in ALL:
        if adapter := re.search(r"`deepshard scan (\w+)` reads", find_description(file_name(name)).read_text()):
            assert read_description(file_name(name)).licence == ADAPTERS[adapter[1]].LICENCE


def test_a_name_that_is_not_shipped_names_the_near_one(tmp_path):
    with pytest.raises(SourceError, match='"private/TPND" is not known. Did you mean "private/TPDNE"'):
        open_source("folder", tmp_path, config="private/TPND")


def test_without_a_root_a_shipped_description_asks_for_it():
    with pytest.raises(SourceError, match="name a ROOT after it"):
        open_source("folder", config="private/TPDNE")


def test_a_users_own_file_of_a_shipped_name_is_the_users(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "root", ["a.png"])
    touch(tmp_path / "private", ["TPDNE"])
    (tmp_path / "private" / "TPDNE").write_text(
        "dataset: mine\nlicence: unknown\nredistributable: false\nkind: images\nlabel: real\n"
    )
    assert open_source("folder", tmp_path / "root", config="private/TPDNE").datasets == ["mine"]


@pytest.mark.parametrize(("task", "methods"), [("attribute", "StarGAN Glow"), ("inpainting", "GL ContextAtten")])
def test_a_task_of_edited_images_knows_which_image_a_file_shows(task, methods, tmp_path):
    for folder in ("real", *methods.split()):
        touch(tmp_path / folder / "01", ["000017.png", "img_000018_smile2.jpg"], b"x")
    source = open_source("folder", tmp_path, config=f"paper4/{task}")
    assert source.datasets == [task] and not source.redistributable and not source.warnings
    for video in source.videos:
        folder = video.path.split("/")[0]
        assert (video.label, video.method) == ((0, "original") if folder == "real" else (1, folder))
        assert video.category == ("edit" if video.label else "real")
        assert (video.kind, video.aligned) == ("image", True)
        assert video.target_id == f"{task}:{'000017' if '17' in video.path else '000018'}"

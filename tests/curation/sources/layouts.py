"""Whole small copies of the datasets, laid out as they are published, and what a scan of each must find.

A layout is a plain function of a folder. It returns the clips that it laid out, by path, with the label that the
dataset's publication gives them; names and counts are written down here anew, not taken from the adapters.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.curation.sources.trees import fakes, ffpp, originals, touch


@dataclass(frozen=True)
class Layout:
    adapter: str
    build: Callable[[Path], dict[str, int]]
    named: bool  # every missing clip can be named: by a published rule, or by a list in the tree

    def __str__(self) -> str:
        return self.build.__name__


def put(root: Path, clips: dict[str, int]) -> dict[str, int]:
    for path in clips:
        touch((root / path).parent, [Path(path).name], b"x")
    return clips


def put_frames(root: Path, clips: dict[str, int], frames: tuple[str, ...] = ("12.png", "7.png")) -> dict[str, int]:
    for path in clips:
        touch(root / path, frames, b"x")
    return clips


def dfdc(root: Path, parts: tuple[int, ...] = (0, 7, 49), inside: str = "") -> dict[str, int]:
    clips: dict[str, int] = {}
    for part in parts:
        folder = f"{inside}dfdc_train_part_{part}"
        listed = {f"real{part}x{n}.mp4": {"label": "REAL", "split": "train", "original": None} for n in range(3)}
        listed |= {
            f"fake{part}x{n}.mp4": {"label": "FAKE", "split": "train", "original": f"real{part}x{n % 3}.mp4"}
            for n in range(7)
        }
        clips |= put(root, {f"{folder}/{name}": int(said["label"] == "FAKE") for name, said in listed.items()})
        (root / folder / "metadata.json").write_text(json.dumps(listed))
    for folder, count in (("test", 6), ("validation", 4)):
        named = {f"{folder}{n}.mp4": n % 2 for n in range(count)}
        clips |= put(root, {f"{folder}/{name}": label for name, label in named.items()})
        lines = ["filename,label", *(f"{name},{label}" for name, label in named.items())]
        (root / folder / "labels.csv").write_text("\n".join(lines))
    return clips


def dfdcp(root: Path) -> dict[str, int]:
    listed = {}
    for person in ("643049", "1260311"):
        for take in ("001", "002") if person == "643049" else ("001",):
            listed[f"original_videos/{person}/{person}_A_{take}.mp4"] = {
                "label": "real", "set": "train", "target_id": person, "swapped_id": None, "augmentations": [],
            }  # fmt: skip
    for method in ("method_A", "method_B"):
        for target, donor in (("643049", "1260311"), ("1260311", "643049")):
            listed[f"{method}/{target}/{target}_A/{donor}_{target}_A_001.mp4"] = {
                "label": "fake", "set": "test", "target_id": target, "swapped_id": donor,
                "source_video": f"{target}_A", "augmentations": ["fps"],
            }  # fmt: skip
    clips = put(root, {path: int(said["label"] == "fake") for path, said in listed.items()})
    (root / "dataset.json").write_text(json.dumps(listed))
    return clips


DEEPER = [
    "end_to_end", "reenact_postprocess", "end_to_end_random_level", *[f"end_to_end_level_{n}" for n in (1, 2, 3, 4, 5)],
    *[f"end_to_end_mix_{n}_distortions" for n in (2, 3, 4)],
]  # fmt: skip


def deeper_names() -> list[str]:
    return [f"{n:03d}_{'MW'[n % 2]}{n * 7 % 100:03d}" for n in range(1000)]


def deeperforensics(root: Path, folders: tuple[str, ...] = ("end_to_end", "end_to_end_level_3")) -> dict[str, int]:
    clips = put(root, {f"manipulated_videos/{folder}/{name}.mp4": 1 for folder in folders for name in deeper_names()})
    splits = root / "lists" / "splits"
    splits.mkdir(parents=True)
    for split, part in (("train", slice(703)), ("val", slice(703, 799)), ("test", slice(799, None))):
        (splits / f"{split}.txt").write_text("\n".join(f"{name}.mp4" for name in deeper_names()[part]))
    return clips


def wilddeepfake(root: Path, inside: str = "", spelling: str = "{}_{}") -> dict[str, int]:
    folders = [(label, split) for label in ("real", "fake") for split in ("train", "test")]
    return put_frames(
        root,
        {
            f"{inside}{spelling.format(label, split)}/{archive}/{label}/{sequence}": int(label == "fake")
            for label, split in folders
            for archive in (0, 1, 12)
            for sequence in (archive + 1, 131)
        },
    )


def fakeavceleb(root: Path) -> dict[str, int]:
    rows = []
    for person, other in (("id00076", "id00476"), ("id00476", "id00076")):
        at = f"African/men/{person}"
        rows += [
            (person, "-", "-", "real", "A", "RealVideo-RealAudio", "00109.mp4", at),
            (person, "-", "-", "rtvc", "B", "RealVideo-FakeAudio", "00109_fake.mp4", at),
            (person, other, "10", "wav2lip", "C", "FakeVideo-RealAudio", f"00109_10_{other}_wavtolip.mp4", at),
            (person, other, "-", "faceswap", "C", "FakeVideo-RealAudio", f"00109_{other}_1.mp4", at),
            (person, other, "2", "fsgan-wav2lip", "D", "FakeVideo-FakeAudio", f"00109_2_{other}_wavtolip.mp4", at),
        ]
    clips = put(root, {f"{row[5]}/{row[7]}/{row[6]}": int(row[5].startswith("Fake")) for row in rows})
    with (root / "meta_data.csv").open("w", newline="") as file:
        file.write("source,target1,target2,method,category,type,race,gender,path,\n")
        for row in rows:
            csv.writer(file).writerow([*row[:6], "African", "men", row[6], f"FakeAVCeleb/{row[5]}/{row[7]}"])
    return clips


PLUS = {
    "FaceSwap": "Celeb-DF BlendFace GHOST HifiFace InSwapper MobileFaceSwap SimSwap UniFace",
    "FaceReenact": "DaGAN FSRT HyperReenact LIA LivePortrait MCNET TPSMM",
    "TalkingFace": "AniTalker EchoMimic EDTalk FLOAT IP_LAP Real3DPortrait SadTalker",
}


def celebdf_plus(root: Path, listed: bool = True) -> dict[str, int]:
    clips = {"Celeb-real/id0_0000.mp4": 0, "Celeb-real/id1_0007.mp4": 0, "YouTube-real/00299.mp4": 0}
    clips["YouTube-real/00170.mp4"] = 0
    for scenario, methods in PLUS.items():
        for method in methods.split():
            for name in ("id0_id1_0000", "id1_id0_0007"):
                clips[f"Celeb-synthesis/{scenario}/{method}/{name}.mp4"] = 1
    lines = [f"{1 - label} {path}" for path, label in clips.items() if "0007" in path or "00170" in path]
    put(root, clips)
    if listed:
        (root / "List_of_testing_videos.txt").write_text("\n".join(lines))
    return clips


def df40(root: Path) -> dict[str, int]:
    clips = {}
    for method in ("simswap", "facevid2vid", "danet", "one_shot_free", "MRAA"):
        clips |= {f"{method}/ff/frames/{name}": 1 for name in ("000_003", "003_000")}
        clips |= {f"{method}/cdf/frames/id0_id1_0000": 1}
    clips |= {"deepfacelab/fake/frames/0001_fake": 1, "deepfacelab/real/frames/0001": 0, "heygen/real/a": 0}
    put_frames(root, clips)
    touch(root / "simswap" / "ff" / "landmarks" / "000_003", ["000.npy"], b"x")
    images = {
        f"{method}/{domain}/003/{n}.png": 1
        for method in ("StyleGAN2", "ddim", "sd2.1", "DiT")
        for domain in ("ff", "cdf")
        for n in (1, 2)
    }
    images |= {
        f"{method}/{kind}/{n}.png": int(kind == "fake")
        for method in ("stargan", "whichfaceisreal")
        for kind in ("fake", "real")
        for n in (1, 2)
    }
    return clips | put(root, images) | put(root, {"heygen/fake/a.mp4": 1})


def uadfv(root: Path, inner: str = "") -> dict[str, int]:
    real = {f"real/{inner}{n:04d}.mp4": 0 for n in range(49)}
    return put(root, real | {f"fake/{inner}{n:04d}_fake.mp4": 1 for n in range(49)})


def ffiw(root: Path, inner: str = "") -> dict[str, int]:
    splits = ("train", "val", "test")
    clips = {f"source/{split}/{inner}{n}.mp4": 0 for split in splits for n in range(3)}
    clips |= {f"target/{split}/{inner}{n}_swapped.mp4": 1 for split in splits for n in range(3)}
    put(root, {path.replace("target/", "target_mask/"): 1 for path, label in clips.items() if label})
    return put(root, clips)


def ffhq(root: Path, numbers: tuple[int, ...] = (0, 999, 1000, 59999, 60000, 69999)) -> dict[str, int]:
    return put(root, {f"images1024x1024/{n // 1000 * 1000:05d}/{n:05d}.png": 0 for n in numbers})


def celeba(root: Path) -> dict[str, int]:
    numbers = (1, 2, 162_770, 162_771, 202_599)
    (root / "Anno").mkdir(parents=True)
    (root / "Eval").mkdir()
    (root / "Anno" / "identity_CelebA.txt").write_text("\n".join(f"{n:06d}.jpg {n % 7 + 1}" for n in numbers))
    (root / "Eval" / "list_eval_partition.txt").write_text("\n".join(f"{n:06d}.jpg {n % 3}" for n in numbers))
    return put(root, {f"Img/img_align_celeba/{n:06d}.jpg": 0 for n in numbers})


def lfw(root: Path, folder: str = "lfw/") -> dict[str, int]:
    people = {"Aaron_Eckhart": 1, "George_W_Bush": 12, "Jean-David_Levitte": 10}
    root.mkdir(parents=True, exist_ok=True)
    (root / "lfw-names.txt").write_text("\n".join(f"{name}\t{count}" for name, count in people.items()))
    names = [(name, number) for name, count in people.items() for number in range(1, count + 1)]
    return put(root, {f"{folder}{name}/{name}_{number:04d}.jpg": 0 for name, number in names})


def faceforensics(root: Path) -> dict[str, int]:
    ffpp(root, ("NeuralTextures", "FaceShifter"), ("c40",))
    folders = {"original_sequences/youtube": 0}
    folders |= {f"manipulated_sequences/{method}": 1 for method in ("NeuralTextures", "FaceShifter")}
    return {
        f"{folder}/c40/videos/{name}": label
        for folder, label in folders.items()
        for name in (fakes() if label else originals())
    }


LAYOUTS = [
    Layout("faceforensics", faceforensics, named=True),
    Layout("dfdc", dfdc, named=True),
    Layout("dfdcp", dfdcp, named=True),
    Layout("deeperforensics", deeperforensics, named=True),
    Layout("wilddeepfake", wilddeepfake, named=False),
    Layout("fakeavceleb", fakeavceleb, named=True),
    Layout("celebdf", celebdf_plus, named=False),
    Layout("df40", df40, named=False),
    Layout("uadfv", uadfv, named=True),
    Layout("ffiw", ffiw, named=False),
    Layout("ffhq", ffhq, named=True),
    Layout("celeba", celeba, named=True),
    Layout("lfw", lfw, named=True),
]

"""Whole small copies of the datasets, laid out as they are published, and what a scan of each must find.

A layout is a plain function of a folder. It returns the clips that it laid out, by path, with the label that the
dataset's publication gives them; names and counts are written down here anew, not taken from the adapters.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.curation.sources.trees import touch


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


LAYOUTS = [
    Layout("dfdc", dfdc, named=True),
    Layout("dfdcp", dfdcp, named=True),
    Layout("deeperforensics", deeperforensics, named=True),
    Layout("wilddeepfake", wilddeepfake, named=False),
    Layout("fakeavceleb", fakeavceleb, named=True),
]

"""The datasets of the shipped splits in miniature, in one store, and pins of it."""

from pathlib import Path

import queries
from queries import manifest
from queries.catalog import connect_read
from queries.pin import pin
from tests.queries import fabricate
from tests.queries.fabricate import attempt, video, write_pack

ROOT = Path(queries.__file__).parent
TEST_LIST = ["id0_0000", "id0_id1_0000", "id3_0001", "id3_id4_0001", "00001"]
IN_BOTH = ["id1_0000", "id1_id2_0000", "id2_0001", "id0_0000"]  # clips of v1 that are, byte for byte, clips of v2
FACELESS = {"ffpp/Face2Face/c23/953_974", "celebdf-v2/Celeb-synthesis/native/id3_id4_0001"}
SETS = {"Defacto-morphs": 1, "faceapp-morph": 1, "reface": 1, "StyleGAN3": 1, "FFHQ": 0, "tedx": 0, "VGGFace": 0}


def dfd_videos():
    rows = [video("original", f"{actor:02d}__walk", 0, "dfd", target_id=f"dfd:{actor:02d}") for actor in range(1, 5)]
    for actor in range(1, 5):
        who = {
            "target_id": f"dfd:{actor:02d}",
            "source_id": "dfd:05",
            "original_video": f"dfd/original/c23/{actor:02d}__walk",
        }
        rows.append(video("DeepFakeDetection", f"{actor:02d}_05__walk__ABCDEFGH", 1, "dfd", **who))
    return rows


def dfdc_videos():
    """Per side two originals; two fakes of each for training, one for testing."""
    rows = []
    for side, fakes in (("train", "ab"), ("test", "a")):
        for number in range(2):
            real = video("original", f"{side}{number}", 0, "dfdc", "native", official_split=side)
            made = {"official_split": side, "original_video": real["video_id"] if side == "train" else None}
            rows += [real, *(video("DFDC", f"{side}{number}{f}", 1, "dfdc", "native", **made) for f in fakes)]
    return rows


def dfdcp_videos():
    return [
        video(method, f"{method}/{side}", label, "dfdcp", "native", official_split=side)
        for side in ("train", "test")
        for method, label in (("original", 0), ("method_A", 1), ("method_B", 1))
    ]


def image_videos():
    """LFW: a person with twelve images, one with ten, one with nine; and sets of one label, ten images each."""
    rows = []
    for person, images in (("Ann", 12), ("Bob", 10), ("Cyd", 9)):
        who = {"target_id": f"lfw:{person}", "visible_id": f"lfw:{person}", "kind": "image"}
        rows += [video("original", f"{person}_{n:04d}", 0, "lfw", "native", **who) for n in range(images)]
    for name, label in SETS.items():
        method = "face-morph" if label else "original"
        rows += [video(method, f"{n}", label, name, "native", kind="image") for n in range(10)]
    return rows


def make_world(place):
    """Some of Celeb-DF v1 lies in v2; two test videos have no face; 32 faces a video, one an image."""
    rows = fabricate.ffpp_videos() + dfd_videos() + dfdc_videos() + dfdcp_videos() + image_videos()
    rows += fabricate.celebdf_videos("v1") + fabricate.celebdf_videos("v2", test=TEST_LIST)
    same = {name: f"{number}" * 64 for number, name in enumerate(IN_BOTH)}
    made = []
    for row in rows:
        change = {"content": same[row["name"]]} if row["name"] in same else {}
        faces = 0 if row["video_id"] in FACELESS else 1 if row["kind"] == "image" else 32
        made.append(attempt(row, faces, **change))
    for number in range(4):
        write_pack(place.store, f"world-{number:06d}", made[number::4])
    fabricate.write_recipe(place.store)
    place.ingest()
    return place


_PINNED = {}


def shipped(place, file, **params):
    """Pin a shipped query, once for each place and parameters."""
    key = (place.folder, file, *params.items())
    if key not in _PINNED:
        _PINNED[key] = pin(place.catalog, place.store, ROOT / file, params=params)
    return _PINNED[key]


def picked(place, pinned):
    """The rows of `faces` that are in a pinned split, with its role and partner_id."""
    table, _ = manifest.read(pinned.path)
    with connect_read(place.catalog) as db:
        db.register("manifest", table.select(["sample_id", "role", "partner_id"]))
        return db.sql("SELECT * FROM faces JOIN manifest USING (sample_id)").to_arrow_table().to_pylist()

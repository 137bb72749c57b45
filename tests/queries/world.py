"""The datasets of the shipped splits in miniature, in one store, and pins of it."""

from dataclasses import asdict
from pathlib import Path

import queries
from queries import manifest, nested, shadow, statement
from queries.catalog import connect_read
from queries.pin import pin
from queries.split import read_split
from tests.queries import fabricate
from tests.queries.fabricate import attempt, video, write_pack

ROOT = Path(queries.__file__).parent
TEST_LIST = ["id0_0000", "id0_id1_0000", "id3_0001", "id3_id4_0001", "00001"]
IN_BOTH = ["id1_0000", "id1_id2_0000", "id2_0001", "id0_0000"]  # clips of v1 that are, byte for byte, clips of v2
FACELESS = {"ffpp/Face2Face/c23/953_974", "celebdf-v2/Celeb-synthesis/native/id3_id4_0001"}
EDITED = {"attribute": ("StarGAN", "Glow"), "inpainting": ("GL", "ContextAtten")}
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
    """LFW: people with twelve, ten and nine images. Thirty images and what two methods made of each. Sets of one label,
    ten images each."""
    rows = []
    for person, images in (("Ann", 12), ("Bob", 10), ("Cyd", 9)):
        who = {"target_id": f"lfw:{person}", "visible_id": f"lfw:{person}", "kind": "image"}
        rows += [video("original", f"{person}_{n:04d}", 0, "lfw", "native", **who) for n in range(images)]
    for task, methods in EDITED.items():
        for image in range(30):
            who = {"target_id": f"{task}:{image}", "kind": "image", "aligned": True}
            for method in ("original", *methods):
                rows.append(video(method, f"{method}/{image}", int(method != "original"), task, "native", **who))
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


def run_here(catalog, query, recipe_hash=None, limits=None):
    """What the sandbox's child does with a split, in this process."""
    with connect_read(catalog) as db:

        def make_ready(connection):
            if recipe_hash:
                shadow.keep_recipe(connection, recipe_hash)

        make_ready(db)
        answer = nested.prepare(db, asdict(query), statement.vocabulary(db), make_ready).to_arrow_table()
        return answer.rename_columns([name.lower() for name in answer.column_names])


_SELECTED = {}
_PINNED = {}


def selected(place, file, **params):
    """The rows of `faces` that a shipped query selects, with its role and partner_id.

    That each can be pinned is tested once; here none is, because that takes most of the time.
    """
    key = (place.folder, file, *params.items())
    if key not in _SELECTED:
        _SELECTED[key] = _rows(place, run_here(place.catalog, read_split(ROOT / file).query(params)))
    return _SELECTED[key]


def shipped(place, file, **params):
    """Pin a shipped query, once for each place and parameters."""
    key = (place.folder, file, *params.items())
    if key not in _PINNED:
        _PINNED[key] = pin(place.catalog, place.store, ROOT / file, params=params)
    return _PINNED[key]


def picked(place, pinned):
    """The rows of `faces` that are in a pinned split, with its role, stream and partner_id."""
    return _rows(place, manifest.read(pinned.path)[0])


def _rows(place, answer):
    with connect_read(place.catalog) as db:
        db.register("answer", answer)
        own = ("role", "stream", "partner_id")
        more = [column if column in answer.column_names else f"NULL AS {column}" for column in own]
        chosen = f"(SELECT sample_id, {', '.join(more)} FROM answer)"
        return db.sql(f"SELECT * FROM faces JOIN {chosen} USING (sample_id)").to_arrow_table().to_pylist()

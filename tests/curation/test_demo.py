"""The demo data: names as published, the same for one seed, honest masks, and no column that gives the label away."""

import importlib.util
import json
import re
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import dlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from curation.demo import DemoError, Size, make_demo, walk
from curation.demo.blend import poisson
from curation.demo.draws import evenly
from curation.demo.encode import encode
from curation.demo.expression import STEP, Expression
from curation.demo.forgeries import METHODS
from curation.demo.layout import CELEBRITIES, FFPP_METHODS, PAIRS, SIZES, Clip, plan
from curation.demo.motion import make_motion
from curation.demo.people import make_person
from curation.demo.photograph import open_photograph
from curation.demo.tree import make_clip
from curation.demo.warp import MIRRORED, fit_similarity, mesh_map, move, thin_plate, triangles_of
from tests.conftest import copy_of

MICRO = Size(
    train=1, val=0, test=0, frames=4, methods=("Deepfakes", "Face2Face"), c40_pairs=0,
    actors=2, scenes=1, celebrities=2, youtube=1,
)  # fmt: skip
PEOPLE = 16


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_demo(tmp_path_factory.mktemp("demo"), "tiny")


@pytest.fixture(scope="module")
def photo():
    return open_photograph()


@pytest.fixture(scope="module")
def footage(photo):
    """Two people filmed twelve frames each."""
    return [make_clip(photo, Clip("ffpp", name, i, i), 12) for i, name in enumerate(("071", "054"))]


@pytest.fixture(scope="module")
def forgeries(footage):
    return {name: method(*footage) for name, method in METHODS.items()}


def files_of(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def read_video(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        return frames, stream.average_rate, stream.codec_context.name


def auc_either_way(labels, values):
    auc = roc_auc_score(labels, values)
    return max(auc, 1 - auc)


# the tree


def test_a_tiny_tree_is_named_like_the_published_datasets(tiny):
    ids = [("071", "054"), ("087", "081"), ("720", "672"), ("953", "974")]
    both = [pair for a, b in ids for pair in ((a, b), (b, a))]
    ffpp, originals = "FaceForensics++", "FaceForensics++/original_sequences"
    forged = f"{ffpp}/manipulated_sequences"
    expected = {"README.txt", "demo.json", "Celeb-DF-v2/List_of_testing_videos.txt"}
    expected |= {f"{ffpp}/splits/{split}.json" for split in ("train", "val", "test")}
    expected |= {f"{originals}/youtube/c23/videos/{a}.mp4" for a, _ in both}
    expected |= {f"{originals}/youtube/c40/videos/{a}.mp4" for a in ids[-1]}
    for method in FFPP_METHODS:
        expected |= {f"{forged}/{method}/c23/videos/{a}_{b}.mp4" for a, b in both}
        if method != "FaceShifter":
            expected |= {f"{forged}/{method}/masks/videos/{a}_{b}.mp4" for a, b in both}
    expected |= {f"{forged}/Face2Face/c40/videos/{a}_{b}.mp4" for a, b in both[-2:]}
    expected |= {f"{originals}/actors/c23/videos/{actor}__podium_speech_happy.mp4" for actor in ("01", "02")}
    expected |= {f"Celeb-DF-v2/Celeb-real/{name}.mp4" for name in ("id0_0002", "id1_0000", "id1_0007")}
    expected |= {f"Celeb-DF-v2/YouTube-real/{name}.mp4" for name in ("00000", "00170")}
    expected |= {f"Celeb-DF-v2/Celeb-synthesis/{n}.mp4" for n in ("id0_id1_0002", "id1_id0_0000", "id1_id0_0007")}
    found = files_of(tiny.root)
    dfd = {name for name in found if "DeepFakeDetection" in name}
    assert found - dfd == expected
    assert len(dfd) == 4
    for video in (tiny.faceforensics / "manipulated_sequences/DeepFakeDetection/c23/videos").iterdir():
        people, scene, suffix = video.stem.split("__")
        assert people in ("01_02", "02_01")
        assert scene == "podium_speech_happy"
        assert len(suffix) == 8
        assert suffix.isalnum()
        assert suffix == suffix.upper()
        assert (video.parents[2] / "masks/videos" / video.name).is_file()


def test_the_lists_name_what_is_there(tiny):
    splits = {s: json.loads((tiny.faceforensics / f"splits/{s}.json").read_text()) for s in ("train", "val", "test")}
    assert splits == {"train": [["071", "054"], ["087", "081"]], "val": [["720", "672"]], "test": [["953", "974"]]}
    text = (tiny.celebdf / "List_of_testing_videos.txt").read_text()
    assert not text.endswith("\n")
    lines = [line.split(" ") for line in text.split("\n")]
    assert {int(label) for label, _ in lines} == {0, 1}
    for label, name in lines:
        assert (tiny.celebdf / name).is_file()
        assert (label == "0") == name.startswith("Celeb-synthesis/")  # the published list has 1 = real
    assert "SYNTHETIC" in (tiny.root / "README.txt").read_text()


def test_a_forgery_and_its_mask_are_encoded_like_its_original(tiny):
    root = tiny.faceforensics
    for quality in ("c23", "c40"):
        for original in sorted((root / f"original_sequences/youtube/{quality}/videos").iterdir()):
            real, rate, codec = read_video(original)
            assert (len(real), rate, codec) == (SIZES["tiny"].frames, Fraction(25), "h264")
            for path in (root / "manipulated_sequences").glob(f"*/{quality}/videos/{original.stem}_*.mp4"):
                fake, fake_rate, fake_codec = read_video(path)
                assert (fake.shape, fake_rate, fake_codec) == (real.shape, rate, codec)
                masks = path.parents[2] / "masks/videos" / path.name
                if masks.exists():
                    mask, _, _ = read_video(masks)
                    assert mask.shape == real.shape
                    grey = mask.astype(int)
                    assert (np.minimum(grey, 255 - grey) > 64).mean() < 0.01  # black and white, but for the coded edge
                    white = mask[..., 0] > 127
                    assert 0.02 < white.mean() < 0.4
                    if quality == "c23":
                        change = np.abs(fake.astype(int) - real).mean(-1)
                        assert change[white].mean() > 2 * change[~white].mean()


def test_one_seed_gives_one_tree_whatever_the_number_of_processes(tmp_path):
    one, two = make_demo(tmp_path / "one", MICRO, processes=1), make_demo(tmp_path / "two", MICRO, processes=2)
    names = files_of(one.root)
    assert names == files_of(two.root)
    for name in names:
        assert (one.root / name).read_bytes() == (two.root / name).read_bytes(), name


def test_another_seed_gives_other_people_in_other_places(photo, footage):
    other = make_clip(photo, Clip("ffpp", "071", 0, 0), 12, seed=1)
    assert np.abs(other.person.landmarks - footage[0].person.landmarks).max() > 3
    assert other.frames.shape != footage[0].frames.shape or (other.frames != footage[0].frames).mean() > 0.9


def test_a_complete_tree_is_left_alone_and_a_broken_one_mended(tmp_path):
    first = make_demo(tmp_path / "demo", MICRO, processes=1)
    assert first.made
    before = {name: (first.root / name).stat().st_mtime_ns for name in files_of(first.root)}
    again = make_demo(first.root, MICRO, processes=1)
    assert not again.made
    assert before == {name: (first.root / name).stat().st_mtime_ns for name in files_of(first.root)}
    assert (again.videos, again.masks, again.bytes) == (first.videos, first.masks, first.bytes)

    lost = first.root / "Celeb-DF-v2/YouTube-real/00000.mp4"
    cut = first.root / "FaceForensics++/manipulated_sequences/Face2Face/masks/videos/071_054.mp4"
    content = lost.read_bytes(), cut.read_bytes()
    lost.unlink()
    cut.write_bytes(content[1][:100])
    assert make_demo(first.root, MICRO, processes=1).made
    assert (lost.read_bytes(), cut.read_bytes()) == content


def test_it_never_writes_into_a_folder_of_something_else(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DemoError, match="not empty"):
        make_demo(tmp_path, "tiny")
    assert files_of(tmp_path) == {"mine.txt"}
    with pytest.raises(DemoError, match="not a folder"):
        make_demo(tmp_path / "mine.txt", "tiny")
    with pytest.raises(DemoError, match="full, small, tiny"):
        make_demo(tmp_path / "new", "huge")
    assert not (tmp_path / "new").exists()


def test_a_tree_of_other_parameters_is_refused(tiny):
    before = files_of(tiny.root)
    with pytest.raises(DemoError, match="another seed"):
        make_demo(tiny.root, "tiny", seed=7)
    with pytest.raises(DemoError, match="another size"):
        make_demo(tiny.root, "small")
    assert files_of(tiny.root) == before


def test_an_unreadable_record_is_refused(tmp_path):
    (tmp_path / "demo.json").write_text("{")
    with pytest.raises(DemoError, match="not a record"):
        make_demo(tmp_path, "tiny")


@pytest.mark.parametrize("size", SIZES)
def test_plans_name_no_file_twice_and_pair_every_forgery_with_its_original(size):
    videos = list(chain.from_iterable(plan(SIZES[size])))
    names = [name for video in videos for name in (video.path, video.mask) if name]
    assert len(names) == len(set(names))
    originals = {(video.clip, video.quality) for video in videos if video.method is None}
    for video in videos:
        if video.method is not None:
            assert (video.clip, video.quality) in originals
            assert video.source != video.clip
            assert video.source.group == video.clip.group


@pytest.mark.parametrize(
    "wrong",
    [{"train": 17}, {"frames": 0}, {"actors": 1}, {"celebrities": 9}, {"c40_pairs": 7}, {"methods": ("Face3",)}],
)
def test_a_size_that_cannot_be_made_is_refused(wrong):
    with pytest.raises(DemoError, match="choose"):
        Size(**wrong)


def test_nobody_is_in_two_splits():
    people = [person for split in PAIRS.values() for pair in split.split() for person in pair.split("_")]
    assert len(people) == len(set(people))


def test_celebrities_swap_within_their_half():
    people = list(CELEBRITIES)
    for half in (people[:4], people[4:]):
        for who in half:
            for row in filter(None, CELEBRITIES[who]):
                sources = row.partition(":")[2].split(",")
                assert who not in sources
                assert set(sources) <= set(half)


# the forgeries


@pytest.mark.parametrize("method", METHODS)
def test_a_forgery_changes_nothing_outside_its_mask(method, footage, forgeries):
    target, forgery = footage[0], forgeries[method]
    assert forgery.frames.shape == target.frames.shape
    changed = (forgery.frames != target.frames).any(-1)
    assert not (changed & ~forgery.masks).any()
    assert changed[forgery.masks].mean() > 0.6


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_covers_the_mouth_and_stays_on_the_face(method, footage, forgeries):
    for points, mask in zip(footage[0].landmarks, forgeries[method].masks, strict=True):
        x, y = points[48:68].mean(0).round().astype(int)
        assert mask[y, x]
        low, high = points.min(0), points.max(0)
        rows, columns = np.nonzero(mask)
        reach = 0.25 * (high - low)
        assert (np.array([columns.min(), rows.min()]) > low - reach).all()
        assert (np.array([columns.max(), rows.max()]) < high + reach).all()


def test_reenactments_keep_the_target_and_swaps_do_not(footage, forgeries):
    """Between eyes and nose a mouth-only forgery leaves the target as it was, and every swap draws somebody else."""
    target, _ = footage
    still = int(target.motion.blink.argmin())

    def upper_face(frames):
        points = target.landmarks[still][[36, 39, 42, 45, 27, 30]].round().astype(int)
        (x0, y0), (x1, y1) = points.min(0), points.max(0)
        grey = cv2.cvtColor(frames[still][y0:y1, x0:x1], cv2.COLOR_RGB2GRAY).astype(np.float64)
        return cv2.GaussianBlur(grey, (0, 0), 2).ravel()

    likeness = {
        name: np.corrcoef(upper_face(target.frames), upper_face(forgery.frames))[0, 1]
        for name, forgery in forgeries.items()
    }
    assert likeness["NeuralTextures"] == pytest.approx(1)
    assert likeness["NeuralTextures"] > max(likeness[name] for name in ("Deepfakes", "FaceSwap", "FaceShifter"))


def test_face2face_moves_the_mouth_as_the_source_does(footage, forgeries):
    """Where the source's jaw is open and the target's closed or the other way round, the forged mouth changes most."""
    target, source = footage
    differ = np.abs(target.motion.jaw - source.motion.jaw)
    change = []
    for t, points in enumerate(target.landmarks):
        (x0, y0), (x1, y1) = points[48:68].min(0).astype(int), points[48:68].max(0).astype(int) + 1
        pair = forgeries["Face2Face"].frames[t], target.frames[t]
        change.append(np.abs(pair[0][y0:y1, x0:x1].astype(int) - pair[1][y0:y1, x0:x1]).mean())
    assert np.corrcoef(differ, change)[0, 1] > 0.5


# no shortcut


@pytest.fixture(scope="module")
def columns(photo):
    """Metadata of originals and forgeries of the first people: {column: {method: values}}."""
    detector = dlib.get_frontal_face_detector()
    clips = [make_clip(photo, Clip("ffpp", str(i), i, i), 16) for i in range(PEOPLE)]

    def measure(frames):
        faces = detector(frames[-1], 1)
        side = np.sqrt(max(face.area() for face in faces)) if len(faces) else 0.0
        return {
            "width": frames.shape[2],
            "height": frames.shape[1],
            "bytes": len(encode(frames, 23)),
            "face_px": side,
            "brightness": frames.mean(),
            "yield": float(side > 0),
        }

    rows = {"original": [measure(clip.frames) for clip in clips]}
    for method in ("Deepfakes", "Face2Face", "FaceSwap"):
        forged = [METHODS[method](clip, clips[i ^ 1]) for i, clip in enumerate(clips)]
        rows[method] = [measure(forgery.frames) for forgery in forged]
    return {name: {m: [row[name] for row in rows[m]] for m in rows} for name in rows["original"][0]}


@pytest.mark.parametrize("column", ["width", "height", "bytes", "face_px", "brightness", "yield"])
def test_no_metadata_column_tells_real_from_fake(columns, column):
    values = columns[column]
    real = values.pop("original")
    for method, fake in values.items():
        assert auc_either_way([0] * len(real) + [1] * len(fake), real + fake) <= 0.6, method


def test_faces_are_found_in_nearly_every_frame(columns):
    assert np.mean(list(chain.from_iterable(columns["yield"].values()))) > 0.95


# people, motion, warps


def test_people_differ_in_tone_and_shape(photo):
    people = [make_person(photo, "ffpp", i) for i in range(6)]
    skin = np.array(
        [cv2.mean(p.rgb[int(p.landmarks[30, 1]) :][:20, int(p.landmarks[30, 0]) :][:, :20])[:3] for p in people]
    )
    shape = np.array([(p.landmarks - p.landmarks.mean(0)).ravel() for p in people])
    for i in range(len(people)):
        for j in range(i):
            assert np.abs(skin[i] - skin[j]).max() > 3
            assert np.abs(shape[i] - shape[j]).mean() > 1.5  # canvas pixels; eyes are about 96 apart


def test_landmarks_lie_where_dlib_sees_them(footage):
    folder = Path(importlib.util.find_spec("face_recognition_models").submodule_search_locations[0])
    predictor = dlib.shape_predictor(str(folder / "models/shape_predictor_68_face_landmarks.dat"))
    detector = dlib.get_frontal_face_detector()
    errors = []
    for clip in footage:
        for frame, points in zip(clip.frames[::3], clip.landmarks[::3], strict=True):
            (box,) = detector(frame, 1)
            seen = np.array([[p.x, p.y] for p in predictor(frame, box).parts()], float)
            eyes = np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
            errors.append(np.linalg.norm(seen - points, axis=1).mean() / eyes)
    assert np.mean(errors) < 0.06


@pytest.mark.parametrize("blink", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("jaw", [-1.0, -0.3, 0.0, 0.8])
@pytest.mark.parametrize(("smile", "brows"), [(0.0, 0.0), (-1.0, 1.0), (0.15, -1.0)])
def test_landmarks_and_pixels_move_together(photo, blink, jaw, smile, brows):
    face = Expression(photo.landmarks)
    backward = face.backward(blink, jaw, smile, brows)
    moved = face.landmarks(blink, jaw, smile, brows)
    at = ((moved - face.origin) / STEP).astype(np.float32)
    shift = cv2.remap(backward, at[None], None, cv2.INTER_LINEAR)[0, :, :2]
    # upper lids and lower inner lips lie on the edge of what they hide: there the map jumps
    steady = np.setdiff1d(np.arange(68), [37, 38, 43, 44, 49, 50, 51, 52, 53, *range(55, 68)])
    assert np.abs(moved + shift - photo.landmarks)[steady].max() < 2  # canvas pixels
    assert (backward[..., 2] >= 0).all()
    assert (backward[..., 2] <= 1).all()
    border = np.concatenate([backward[0], backward[-1], backward[:, 0], backward[:, -1]])
    assert np.abs(border).max() < 0.5


def test_a_blink_closes_the_lids_and_the_jaw_opens_the_mouth(photo):
    face = Expression(photo.landmarks)

    def opening(points, upper, lower):
        return (points[lower, 1] - points[upper, 1]).mean()

    eye, mouth = ([37, 38, 43, 44], [41, 40, 47, 46]), ([61, 62, 63], [67, 66, 65])
    eyes = [opening(face.landmarks(blink, 0, 0, 0), *eye) for blink in (0, 0.5, 1)]
    mouths = [opening(face.landmarks(0, jaw, 0, 0), *mouth) for jaw in (-1, -0.5, 0, 0.5, 1)]
    assert eyes[0] > eyes[1] > eyes[2] >= 0
    assert eyes[2] < 0.25 * eyes[0]
    assert all(a < b for a, b in zip(mouths, mouths[1:], strict=False))
    assert mouths[0] >= 0


@given(st.integers(1, 60), st.integers(0, 3))
def test_a_shorter_motion_is_the_beginning_of_a_longer_one(frames, name):
    short, long = make_motion(frames, 25, name), make_motion(60, 25, name)
    np.testing.assert_array_equal(short.expression(), long.expression()[:frames])
    np.testing.assert_array_equal(short.turn, long.turn[:frames])


@given(st.integers(0, 1000), st.integers(4, 64), st.text(max_size=5))
def test_even_draws_fill_their_range(start, count, name):
    draws = np.sort([evenly(start + i, name) for i in range(count)])
    assert 0 <= draws[0] <= draws[-1] < 1
    gaps = np.diff(np.r_[draws, draws[0] + 1])
    assert gaps.max() < 3 / count


def test_mirrored_order_is_its_own_inverse():
    assert sorted(MIRRORED) == list(range(68))
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(68))


def test_warps_do_what_they_are_asked(photo):
    rng = np.random.default_rng(0)
    points = photo.landmarks / 4
    wanted = rng.normal(size=(68, 2))
    np.testing.assert_allclose(thin_plate(points, wanted, points), wanted, atol=1e-4)

    matrix = np.array([[0.9, -0.3, 5], [0.3, 0.9, -2]])
    np.testing.assert_allclose(fit_similarity(points, move(points, matrix)), matrix, atol=1e-9)

    reading, inside = mesh_map((90, 110), points, points, triangles_of(points))
    x, y = np.meshgrid(np.arange(110), np.arange(90))
    away = np.abs(reading - np.dstack([x, y])).max(-1)
    assert inside.sum() > 1000
    assert (away[inside] < 1.1).all()  # pixels on the rim may lie a little outside of their triangle
    assert np.median(away[inside]) < 1e-3


def test_poisson_blending_of_a_frame_into_itself_changes_nothing(footage):
    frame, points = footage[0].frames[0], footage[0].landmarks[0]
    mask = np.zeros(frame.shape[:2], bool)
    (x0, y0), (x1, y1) = points.min(0).astype(int), points.max(0).astype(int)
    mask[y0:y1, x0 : x1 - 1] = True
    for part in (mask, np.roll(mask, 1, 1)):  # odd and even widths are centred differently
        assert np.abs(poisson(frame, frame, part).astype(int) - frame)[part].mean() < 1


def test_the_splits_of_the_demo_hold_faces_where_videos_are_shorter_than_a_training_set_draws(curated, tmp_path):
    place = copy_of(curated, tmp_path / "place")  # six frames of each video
    said = place.ok("split", "pin", *walk.TRAINED_ON, *walk.fewer(6)) + place.ok("split", "pin", *walk.TESTED_ON)
    pinned = set(re.findall(r"^(\w+)@", said, re.MULTILINE))
    assert pinned == {"f2f_train", "f2f_val", *(name for name, _ in walk.SITUATIONS)}
    assert walk.fewer(SIZES["full"].frames) == walk.fewer(SIZES["small"].frames) == []

"""Augmentations: chosen by the bits alone, alike for all that belongs to a face, and as strong as asked for."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.augment import (
    MIRROR,
    Augmentation,
    Draw,
    augment_image,
    augment_landmarks,
    draw,
    is_none,
)
from training.config import Augment
from training.errors import TrainingError

ALL = Augment(flip=0.5, jpeg=0.5, colour=0.5)
bits = st.integers(0, 2**63 - 1)


def picture(seed=0, size=24):
    generator = np.random.default_rng(seed)
    smooth = generator.random((4, 4, 3)).repeat(size // 4, 0).repeat(size // 4, 1)
    return (smooth * 255).astype(np.uint8)


@given(bits)
def test_a_draw_is_a_function_of_its_bits(some):
    assert draw(ALL, some) == draw(ALL, some)


@given(bits)
def test_switching_one_change_on_leaves_the_others_as_they_were(some):
    every, without = draw(ALL, some), draw(Augment(flip=0.5, colour=0.5), some)
    assert (every.flip, every.brightness, every.contrast) == (without.flip, without.brightness, without.contrast)
    assert without.jpeg_quality is None


@given(bits)
def test_draws_stay_in_their_ranges(some):
    settings = Augment(flip=1, jpeg=1, jpeg_quality=[30, 32], colour=1, brightness=0.2, contrast=0.3)
    change = draw(settings, some)
    assert change.flip
    assert change.jpeg_quality in (30, 31, 32)
    assert -0.2 <= change.brightness <= 0.2
    assert 0.7 <= change.contrast <= 1.3


def test_changes_are_as_frequent_as_asked_and_every_quality_occurs():
    generator = np.random.default_rng(3)
    changes = [
        draw(Augment(flip=0.3, jpeg=0.6, jpeg_quality=[50, 53]), int(b)) for b in generator.integers(0, 2**63, 4000)
    ]
    assert np.mean([change.flip for change in changes]) == pytest.approx(0.3, abs=0.03)
    assert np.mean([change.jpeg_quality is not None for change in changes]) == pytest.approx(0.6, abs=0.03)
    assert {change.jpeg_quality for change in changes} == {None, 50, 51, 52, 53}


def test_the_default_changes_nothing():
    assert is_none(Augment())
    change = draw(Augment(), 123)
    assert change == Draw(flip=False, brightness=0.0, contrast=1.0, jpeg_quality=None)
    assert np.array_equal(augment_image(picture(), change), picture())


def test_a_flip_mirrors_and_twice_is_nothing():
    change = Draw(True, 0.0, 1.0, None)
    once = augment_image(picture(), change)
    assert np.array_equal(once, np.fliplr(picture()))
    assert np.array_equal(augment_image(once, change), picture())


def test_brightness_shifts_and_contrast_spreads_without_wrapping_round():
    plain = np.full((8, 8, 3), 250, np.uint8)
    assert (augment_image(plain, Draw(False, 0.1, 1.0, None)) == 255).all()
    assert (augment_image(plain, Draw(False, -0.1, 1.0, None)) == 224).all()
    image = picture()
    spread = augment_image(image, Draw(False, 0.0, 0.5, None))
    assert spread.std() == pytest.approx(image.std() / 2, rel=0.02)
    assert spread.mean() == pytest.approx(image.mean(), abs=0.6)


def test_jpeg_keeps_colours_in_place_and_lower_quality_changes_more():
    image = picture(2, 64)
    errors = [np.abs(augment_image(image, Draw(False, 0, 1, q)).astype(int) - image).mean() for q in (95, 50, 10)]
    assert errors[0] < errors[1] < errors[2]
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(augment_image(red, Draw(False, 0, 1, 95)).astype(int) - red).max() < 8  # not swapped with blue


@pytest.mark.parametrize("points", MIRROR)
def test_mirroring_landmarks_exchanges_the_sides_and_twice_is_nothing(points):
    order = MIRROR[points]
    assert sorted(order) == list(range(points))
    assert [order[i] for i in order] == list(range(points))
    landmarks = np.random.default_rng(0).random((points, 2)).astype(np.float32) * 100
    change = Draw(True, 0, 1, None)
    twice = augment_landmarks(augment_landmarks(landmarks, 101, change), 101, change)
    assert np.allclose(twice, landmarks, atol=1e-4)
    eyes = {68: (36, 45), 5: (0, 2)}[points]  # outer corners
    assert augment_landmarks(landmarks, 101, change)[eyes[0], 0] == pytest.approx(100 - landmarks[eyes[1], 0])


def test_a_symmetric_face_of_68_points_is_its_own_mirror():
    half = {0: (-5, 0), 17: (-4, 5), 31: (-1, -1), 36: (-4, 4), 39: (-1, 4), 48: (-2, -4), 60: (-1, -4), 27: (0, 4)}
    landmarks = np.tile(np.float32([50, 0]), (68, 1))
    for index, (x, y) in half.items():
        landmarks[index] = (50 + x, y)
        landmarks[MIRROR[68][index]] = (50 - x, y)
    partners = {0: 16, 17: 26, 31: 35, 36: 45, 39: 42, 48: 54, 60: 64, 27: 27}  # iBUG's figure
    assert {index: MIRROR[68][index] for index in half} == partners
    assert np.allclose(augment_landmarks(landmarks, 101, Draw(True, 0, 1, None)), landmarks)


def test_landmarks_whose_sides_are_unknown_cannot_be_flipped():
    with pytest.raises(TrainingError, match="--augment.flip 0"):
        augment_landmarks(np.zeros((81, 2), np.float32), 64, Draw(True, 0, 1, None))


def batch_of(images):
    count = len(images)
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return {
        "image": pixels,
        "partner": pixels.clone(),
        "mask": pixels[:, :1].clone(),
        "landmarks": torch.rand(count, 5, 2) * 20,
        "draw": torch.arange(count) * 1_000_003,
        "valid": torch.tensor([True] * (count - 1) + [False]),
        "label": torch.zeros(count, dtype=torch.int64),
    }


def test_a_batch_is_changed_slot_by_slot_alike_in_all_members_and_padding_is_left_alone():
    batch = batch_of([picture(i) for i in range(12)])
    done = pickle.loads(pickle.dumps(Augmentation(ALL)))(batch)
    changes = [draw(ALL, int(b)) for b in batch["draw"]]
    assert {change.flip for change in changes[:-1]} == {True, False}
    for i, change in enumerate(changes[:-1]):
        expected = augment_image(picture(i), change)
        assert np.array_equal(done["image"][i].permute(1, 2, 0).numpy(), expected)
        assert torch.equal(done["partner"][i], done["image"][i])
        assert torch.equal(done["mask"][i], batch["mask"][i].flip(-1) if change.flip else batch["mask"][i])
        assert torch.equal(done["landmarks"][i], batch["landmarks"][i]) != change.flip
    assert torch.equal(done["image"][-1], batch["image"][-1])
    assert {name: (value.shape, value.dtype) for name, value in done.items()} == {
        name: (value.shape, value.dtype) for name, value in batch.items()
    }
    one = {name: value[3:4] for name, value in batch.items()}  # whatever batch a face comes in
    assert torch.equal(Augmentation(ALL)(one)["image"][0], done["image"][3])

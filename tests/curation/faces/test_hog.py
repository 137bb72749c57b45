import cv2
import numpy as np
import pytest
import skimage.data

from curation.faces.backend import FacesError, overlap
from curation.faces.hog import open_hog
from tests.curation.faces.portraits import CENTRE, SIDE, noise, photograph, picture


@pytest.fixture(scope="module")
def opened():
    return open_hog()


@pytest.fixture
def backend(opened):
    opened.reset()
    return opened


class Meter:
    """dlib's detector, and how many pixels it was given."""

    def __init__(self, detector):
        self.detector, self.pixels = detector, 0

    def run(self, image, *rest):
        self.pixels += image.size
        return self.detector.run(image, *rest)


@pytest.fixture
def meter(backend, monkeypatch):
    meter = Meter(backend._detector)
    monkeypatch.setattr(backend, "_detector", meter)
    return meter


def in_batches(backend, frames):
    found = []
    for start in range(0, len(frames), backend.batch):
        found += backend.find(frames[start : start + backend.batch])
    return found


def around(x, y, side):
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def test_the_face_of_a_photograph_with_its_landmarks(backend):
    ((face,),) = backend.find([photograph()])
    assert overlap(face.box, around(*CENTRE, SIDE))[0, 0] > 0.8
    assert face.scheme == "ibug68" and face.landmarks.shape == (68, 2) and face.landmarks.dtype == np.float32
    eyes = [face.landmarks[36:42].mean(axis=0), face.landmarks[42:48].mean(axis=0)]
    assert np.abs(eyes[0] - [203, 102]).max() < 4 and np.abs(eyes[1] - [246, 105]).max() < 4  # read off the photograph
    assert face.score > 1


@pytest.mark.parametrize("side", [45, 62, 80, 110, 160, 240, 330])
@pytest.mark.parametrize("background", ["plain", "gravel"])
def test_faces_of_every_size_are_found_and_nothing_else(backend, side, background):
    frame = picture(480, 640, [(330, 250, side)], background)
    ((face,),) = backend.find([frame])
    assert overlap(face.box, around(330, 250, side))[0, 0] > 0.6
    assert face.size == pytest.approx(side, rel=0.2)


@pytest.mark.parametrize(("x", "y"), [(70, 60), (570, 70), (90, 420), (560, 400), (320, 240)])
def test_faces_are_found_in_every_corner(backend, x, y):
    ((face,),) = backend.find([picture(480, 640, [(x, y, 75)], "gravel")])
    assert overlap(face.box, around(x, y, 75))[0, 0] > 0.6


def test_landmarks_scale_with_the_picture(backend):
    photo = photograph()
    ((face,),) = backend.find([photo])
    for by in (0.6, 1.7, 2.5):
        backend.reset()
        size = round(512 * by)
        ((other,),) = backend.find([cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA)])
        back = (other.landmarks + 0.5) * 512 / size - 0.5
        assert np.abs(back - face.landmarks).mean() < 0.025 * face.size


def test_a_moving_face_is_followed_through_every_frame(backend):
    path = [(120 + 14 * i, 200 + 60 * np.sin(i / 4), 70 + i) for i in range(28)]
    frames = [picture(480, 640, [place], "gravel") for place in path]
    found = in_batches(backend, frames)
    for place, faces in zip(path, found, strict=True):
        assert len(faces) == 1
        assert overlap(faces[0].box, around(*place))[0, 0] > 0.5


def test_following_costs_a_tenth_of_searching_every_frame(backend, meter):
    frames = [picture(480, 640, [(200 + 3 * i, 220, 90)], "gravel") for i in range(32)]
    assert all(len(faces) == 1 for faces in in_batches(backend, frames))
    assert meter.pixels < 32 * 480 * 640 * 4 / 10  # one upsampling, as the field does, is four times the frame


def test_a_face_that_comes_late_and_goes_is_found_in_all_its_frames(backend):
    there = range(11, 24)
    frames = [picture(480, 640, [(300, 240, 100)] if i in there else [], "gravel") for i in range(32)]
    assert [i for i, faces in enumerate(in_batches(backend, frames)) if faces] == list(there)


def test_a_second_larger_face_is_found_beside_a_known_one(backend):
    frames = [
        picture(480, 640, [(160, 240, 70), (470, 240, 110)] if i >= 9 else [(160, 240, 70)], "gravel")
        for i in range(32)
    ]
    found = in_batches(backend, frames)
    assert all(len(faces) == 2 for faces in found[16:])
    assert all(faces[0].size > faces[1].size for faces in found[16:])


def test_a_thorough_search_finds_the_smaller_faces_at_once(backend):
    frames = [picture(480, 640, [(160, 240, 120), (470, 240, 66)], "gravel") for _ in range(8)]
    backend.reset(thorough=True)
    assert all(len(faces) == 2 for faces in backend.find(frames))
    backend.find([np.zeros((96, 96, 3), np.uint8)])  # frames of another size start afresh, but as thoroughly
    assert all(len(faces) == 2 for faces in backend.find(frames))


def test_after_a_cut_the_other_face_is_found(backend):
    frames = [picture(480, 640, [(160, 150, 90)], "gravel")] * 12 + [picture(480, 640, [(450, 330, 84)], "plain")] * 12
    found = in_batches(backend, frames)
    assert all(len(faces) == 1 for faces in found)
    assert all(overlap(faces[0].box, around(450, 330, 84))[0, 0] > 0.5 for faces in found[12:])


@pytest.mark.parametrize(
    "name", ["coffee", "chelsea", "brick", "grass", "rocket", "text", "coins", "retina", "immunohistochemistry", "moon"]
)
def test_pictures_without_a_face_give_none(backend, name):
    image = getattr(skimage.data, name)()
    image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]
    assert backend.find([np.ascontiguousarray(image)] * 3) == [[], [], []]


@pytest.mark.parametrize(("height", "width", "share"), [(360, 640, 1 / 4), (720, 1280, 1 / 8)])
def test_what_a_clip_without_a_face_costs_is_bounded_even_if_all_of_it_changes(backend, meter, height, width, share):
    frames = [noise(height, width, i) for i in range(32)]
    assert not any(in_batches(backend, frames))
    assert meter.pixels < share * 32 * height * width * 4  # of searching every frame with one upsampling


def test_a_still_clip_without_a_face_costs_one_search(backend, meter):
    frames = [noise(360, 640, 0)] * 8
    backend.find(frames)
    once = meter.pixels
    for _ in range(4):
        backend.find(frames)
    assert meter.pixels == once


def test_reset_forgets_the_video_before(backend):
    frames = [picture(480, 640, [(200, 200, 80)], "gravel")] * 8
    first = backend.find(frames)
    backend.find([picture(480, 640, [(420, 260, 140)], "plain")] * 8)
    backend.reset()
    again = backend.find(frames)
    assert [[face.box.tolist() for face in faces] for faces in first] == [
        [face.box.tolist() for face in faces] for faces in again
    ]


def test_frames_of_several_sizes_start_afresh(backend):
    sizes = [(480, 640), (480, 640), (240, 320), (700, 500)]
    found = backend.find([picture(*size, [(size[1] / 2, size[0] / 2, 80)], "plain") for size in sizes])
    assert [len(faces) for faces in found] == [1, 1, 1, 1]


def test_tiny_frames_are_searched_without_an_error(backend):
    assert backend.find([noise(16, 16, 0), noise(48, 32, 1)]) == [[], []]


def test_frames_that_are_not_pictures_are_refused(backend):
    with pytest.raises(FacesError, match="uint8 RGB"):
        backend.find([np.zeros((100, 100), np.uint8)])


def test_five_points_for_those_who_may_not_use_the_68():
    backend = open_hog(scheme="dlib5")
    found = backend.find([picture(480, 640, [(200 + 10 * i, 220, 90)], "gravel") for i in range(8)])
    assert all(len(faces) == 1 for faces in found)
    for i, (face,) in enumerate(found):
        assert face.scheme == "dlib5" and face.landmarks.shape == (5, 2)
        assert overlap(face.box, around(200 + 10 * i, 220, 90))[0, 0] > 0.6
    assert list(backend.weights()) == ["shape_predictor_5_face_landmarks.dat"]


def test_weights_are_named_with_their_hash(backend):
    ((name, digest),) = backend.weights().items()
    assert name == "shape_predictor_68_face_landmarks.dat"
    assert digest == "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"

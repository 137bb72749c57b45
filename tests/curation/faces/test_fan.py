"""The real loading and running of both networks, with weights that were never trained: no others are at hand."""

import hashlib

import face_alignment.utils
import numpy as np
import pytest
import torch
from face_alignment import FaceAlignment, LandmarksType
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.models import FAN as Hourglasses

from curation.faces import fan
from curation.faces.align import moved, warp
from curation.faces.backend import FacesError, overlap
from curation.faces.opening import open_backend
from tests.curation.faces.portraits import photograph

FRAME = np.ascontiguousarray(photograph()[40:200, 120:296])
BOXES = 2  # that the untrained detector gives on it


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A torch hub cache with random weights under the published names, and their hashes."""
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    detector = s3fd().eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(FRAME).permute(2, 0, 1)[None].flip(1) - torch.tensor(fan._MEAN).view(1, 3, 1, 1)
        margins = [(logits[0, 1] - logits[0, 0]).flatten() for logits in detector(pixels)[::2]]
    with torch.no_grad():  # an untrained network is sure of nothing: let it believe in what it sees most of a face in
        biases = [value for name, value in detector.named_parameters() if name.endswith("mbox_conf.bias")]
        for level, (bias, margin) in enumerate(zip(biases, margins, strict=True)):
            best = margin.sort(descending=True).values
            bias[:-1] += (best[BOXES - 1] + best[BOXES]) / 2 if level == 1 else best[0] + 1
    expected = {}
    for file, network in ((fan.S3FD, detector), (fan.FAN, Hourglasses(4))):
        torch.save(network.state_dict(), folder / file.name)
        expected[file.name] = hashlib.sha256((folder / file.name).read_bytes()).hexdigest()
    return home, expected


@pytest.fixture
def home(hub, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(hub[0]))
    return hub


@pytest.fixture(scope="module")
def opened(hub):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(hub[0]))
        return open_backend("face_alignment", device="cpu", flip=False, expected=hub[1], download=False)


def test_the_published_hashes_are_demanded_unless_others_are_given(home):
    with pytest.raises(FacesError, match="not the file it should be"):
        open_backend("face_alignment", device="cpu")


def test_weights_of_another_network_are_refused(home, tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"weight": torch.zeros(2)}, folder / fan.S3FD.name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    digest = hashlib.sha256((folder / fan.S3FD.name).read_bytes()).hexdigest()
    with pytest.raises(FacesError, match="does not fit"):
        open_backend("face_alignment", device="cpu", expected={fan.S3FD.name: digest}, download=False)


def test_missing_weights_are_an_error_before_any_work_with_both_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(FacesError, match="s3fd-619a316812.pth.*put https://.*--aligner dlib"):
        open_backend("face_alignment", device="cpu", download=False)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(FacesError, match="no device"):
        open_backend("face_alignment", device="cuda:99")
    with pytest.raises(FacesError, match="float32, float16, bfloat16"):
        open_backend("face_alignment", dtype="int8")


def test_weights_are_named_with_their_hash(opened, hub):
    assert opened.weights() == hub[1]


def test_boxes_and_landmarks_are_those_of_the_package(opened, home, monkeypatch):
    """The package on the same weights: it cuts and rounds to whole pixels, so its landmarks may be some cells off."""
    for name in ("transform_np", "_get_preds_fromhm"):  # its own code without compiling it, which takes longer than all
        monkeypatch.setattr(face_alignment.utils, name, getattr(face_alignment.utils, name).py_func)
    theirs = FaceAlignment(LandmarksType.TWO_D, device="cpu", compile=False, flip_input=False)
    boxes = np.array(theirs.face_detector.detect_from_image(FRAME))
    faces = opened.find([FRAME])[0]
    assert 1 <= len(boxes) == len(faces) <= BOXES  # overlapping ones are one
    shares = overlap(np.array([face.box + 0.5 for face in faces]), boxes[:, :4])
    assert shares.max(axis=1).min() > 0.99
    for face, best in zip(faces, shares.argmax(axis=1), strict=True):
        assert face.score == pytest.approx(boxes[best, 4], abs=1e-4)
    box = np.array([40.0, 30.0, 150.0, 150.0, 1.0])  # of the size of a face
    (landmarks,) = theirs.get_landmarks_from_image(FRAME, detected_faces=[box])
    (ours,) = opened._landmarks([(FRAME, *fan.square(box))])
    cell = fan.square(box)[1] / 64
    assert np.median(np.abs(ours - landmarks).max(axis=1)) < 1.5 * cell


def test_batches_give_what_single_frames_give(opened):
    alone = opened.find([FRAME])[0]
    assert alone
    first, _, last = opened.find([FRAME, photograph()[300:400, 200:330], FRAME])
    for together in (first, last):
        assert len(alone) == len(together)
        for one, two in zip(alone, together, strict=True):
            assert np.allclose(one.box, two.box, atol=1e-2)
            assert one.landmarks.shape == (68, 2) and np.isfinite(one.landmarks).all()
            assert np.median(np.abs(one.landmarks - two.landmarks)) < 0.5


def test_a_face_and_its_mirror_image_have_mirrored_landmarks(home):
    """What adding the mirrored face is for, and holds whatever the weights are."""
    both = open_backend("face_alignment", device="cpu", flip=True, expected=home[1], download=False)
    side, middle = 170.0, np.array([88.0, 80.0])
    mirrored = np.ascontiguousarray(FRAME[:, ::-1])
    one = both._landmarks([(FRAME, middle, side)])[0]
    two = both._landmarks([(mirrored, [FRAME.shape[1], 0] + middle * [-1, 1], side)])[0]
    assert np.median(np.abs(([FRAME.shape[1] - 1, 0] + two * [-1, 1])[fan._MIRRORED] - one)) < 1e-3


def test_a_large_frame_is_reduced_for_the_detector_and_boxes_are_those_of_the_frame(opened, monkeypatch):
    small = opened._detect([FRAME])[0]
    monkeypatch.setattr(fan, "LONGEST", max(FRAME.shape))
    large = opened._detect([np.repeat(np.repeat(FRAME, 2, axis=0), 2, axis=1)])[0]
    assert len(small) == len(large) > 0
    assert np.allclose(large[:, :4] / 2, small[:, :4], atol=0.01)


def logit(probability):
    return float(np.log(probability / (1 - probability)))


def test_boxes_are_decoded_from_their_priors():
    """One face on level 3 (stride 32, prior 128), shifted by a tenth of its prior's side and e^0.2 times as wide."""
    maps = []
    for level in range(6):
        cells = 2 ** (5 - level)
        logits = torch.zeros(2, 2, cells, cells)
        logits[:, 1] = -9
        maps += [logits, torch.zeros(2, 4, cells, cells)]
    maps[6][1, 1, 2, 1] = logit(0.9)
    maps[7][1, :, 2, 1] = torch.tensor([1.0, -1.0, 1.0, 0.0])
    none, found = fan.boxes_of(maps, 2)
    assert none.shape == (0, 5)
    centre, width = np.array([48 + 12.8, 80 - 12.8]), 128 * np.exp(0.2)
    assert np.allclose(
        found, [[centre[0] - width / 2, centre[1] - 64, centre[0] + width / 2, centre[1] + 64, 0.9]], rtol=1e-5
    )


def test_of_overlapping_boxes_the_surest_is_kept():
    logits = torch.full((1, 2, 4, 4), -9.0)
    logits[:, 0] = 0
    logits[0, 1, 1, 1], logits[0, 1, 1, 2], logits[0, 1, 3, 0] = logit(0.8), logit(0.95), logit(0.7)
    blank = [torch.tensor([[[[0.0]], [[-9.0]]]]), torch.zeros(1, 4, 1, 1)]
    (found,) = fan.boxes_of([logits, torch.zeros(1, 4, 4, 4), *blank * 5], 1)
    assert np.allclose(found[:, 4], [0.95, 0.7], atol=1e-6)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (10, 20), (63, 63), (31, 5)])
def test_a_peak_is_where_the_map_is_highest(x, y):
    maps = np.zeros((1, 1, 64, 64), np.float32)
    maps[0, 0, y, x] = 1
    assert np.allclose(fan.peaks(maps), [[[x + 0.5, y + 0.5]]])


def test_a_peak_moves_a_quarter_of_a_cell_towards_its_higher_neighbour():
    maps = np.zeros((2, 1, 64, 64), np.float32)
    maps[:, 0, 30, 40] = 1
    maps[0, 0, 30, 41], maps[0, 0, 29, 40] = 0.5, 0.2
    maps[1, 0, 30, 39], maps[1, 0, 31, 40] = 0.5, 0.2
    assert np.allclose(fan.peaks(maps)[:, 0], [[40.75, 30.25], [40.25, 30.75]])


@pytest.mark.parametrize("box", [(100, 120, 180, 220), (-20, 5, 60, 90), (300.5, 210.25, 420, 391)])
def test_a_dot_in_the_frame_comes_back_from_the_networks_input(box):
    """Frame -> 256 pixels -> 64 cells -> frame: no half pixel is lost on the way."""
    middle, side = fan.square(np.array(box))
    for share in ((0.3, 0.4), (0.62, 0.55)):
        dot = middle - side / 2 + np.array(share) * side - 0.5
        if (dot < 3).any():
            continue
        rows, columns = np.mgrid[:512, :512]
        frame = 255 * np.exp(-((columns - dot[0]) ** 2 + (rows - dot[1]) ** 2) / (2 * (side / 25) ** 2))
        image = warp(np.repeat(frame.astype(np.uint8)[..., None], 3, axis=2), fan.into(middle, side), 256, "linear")
        cells = image[..., 0].reshape(64, 4, 64, 4).mean(axis=(1, 3))[None, None].astype(np.float32)
        back = fan.peaks(cells)[0, 0] / 64 * side + middle - side / 2 - 0.5
        assert np.abs(back - dot).max() < 0.6 * side / 64


def test_the_square_shows_what_the_input_shows():
    middle, side = fan.square(np.array([100, 100, 200, 240]))
    corners = np.array([middle - side / 2, middle + side / 2]) - 0.5
    assert np.allclose(moved(corners, fan.into(middle, side)), [[-0.5, -0.5], [255.5, 255.5]])


def test_a_mirrored_point_mirrored_is_itself():
    order = np.array(fan._MIRRORED)
    assert np.array_equal(order[order], np.arange(68))
    assert order[36] == 45 and order[48] == 54 and order[30] == 30 and order[0] == 16


def test_half_precision_finds_nearly_the_same_landmarks(home, opened):
    half = open_backend("face_alignment", device="cpu", dtype="bfloat16", flip=False, expected=home[1], download=False)
    middle, side = np.array([88.0, 80.0]), 170.0
    one, two = opened._landmarks([(FRAME, middle, side)]), half._landmarks([(FRAME, middle, side)])
    assert np.median(np.abs(one - two)) < 3 * side / 64

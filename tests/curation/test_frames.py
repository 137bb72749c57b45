"""Decoding: the right frames, upright, in RGB, from every container; a clear error for everything else."""

import cv2
import numpy as np
import pytest

from curation.frames import DecodeError, open_clip
from tests.curation.clips import damage, number, numbered, write_clip

CONTAINERS = {
    "h264.mp4": {"codec": "libx264"},
    "gop250.mp4": {"codec": "libx264", "options": {"g": "250", "bf": "3"}},
    "intra.mkv": {"codec": "libx264", "options": {"g": "1"}},
    "rgb.mkv": {"codec": "libx264rgb", "pix_fmt": "rgb24", "options": {"crf": "0"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "ffv1.mkv": {"codec": "ffv1"},
    "raw.264": {"codec": "libx264", "container_format": "h264"},
    "palette.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "vfr.mkv": {"codec": "libx264", "times": [40 * i + (i % 3) * 7 for i in range(40)]},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {name: write_clip(folder / name, **how) for name, how in CONTAINERS.items()}


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("name", CONTAINERS)
def test_frames_are_the_ones_asked_for(clips, name, decoder):
    if decoder == "decord" and name in ("raw.264", "palette.gif"):
        with pytest.raises(DecodeError, match="decord cannot open"):
            open_clip(clips[name], decoder="decord")
        return
    clip = open_clip(clips[name], decoder=decoder)
    assert clip.info.frame_count == 40
    assert (clip.info.width, clip.info.height) == (192, 96)
    for wanted in ([0], [39], [0, 1, 2], [3, 17, 18, 31, 39], list(range(40))):
        got = list(clip.frames(wanted))
        assert [frame.index for frame in got] == wanted
        assert [number(frame.rgb) for frame in got] == wanted
    clip.close()


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name not in ("raw.264", "palette.gif")])
def test_both_decoders_give_the_same_pixels(clips, name):
    wanted = [0, 7, 20, 39]
    ours = [frame.rgb.astype(int) for frame in open_clip(clips[name], decoder="decord").frames(wanted)]
    theirs = [frame.rgb.astype(int) for frame in open_clip(clips[name], decoder="pyav").frames(wanted)]
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a - b).max() <= 2


def test_what_decord_cannot_open_pyav_reads_and_the_info_says_so(clips):
    for name in ("raw.264", "palette.gif"):
        clip = open_clip(clips[name])
        assert clip.info.decoder.startswith("pyav ")
        assert [number(frame.rgb) for frame in clip.frames([5, 30])] == [5, 30]
    assert open_clip(clips["h264.mp4"]).info.decoder.startswith("decord ")


@pytest.mark.parametrize("name", ["h264.mp4", "rgb.mkv", "vp9.webm"])
@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_colours_come_in_rgb_order(clips, name, decoder):
    frame = next(iter(open_clip(clips[name], decoder=decoder).frames([10])))
    expected = numbered(10)
    assert np.abs(frame.rgb[80, 30].astype(int) - expected[80, 30]).max() < 30
    assert np.abs(frame.rgb[80, 160].astype(int) - expected[80, 160]).max() < 30


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_times_follow_a_variable_frame_rate(clips, decoder):
    clip = open_clip(clips["vfr.mkv"], decoder=decoder)
    expected = [(40 * i + (i % 3) * 7) / 1000 for i in (0, 4, 5, 39)]
    assert clip.times([0, 4, 5, 39]) == pytest.approx(expected, abs=2e-3)
    assert [frame.time_s for frame in clip.frames([0, 4, 5, 39])] == pytest.approx(expected, abs=2e-3)


def test_no_frame_beyond_the_end(clips):
    for decoder in ("decord", "pyav"):
        assert [f.index for f in open_clip(clips["h264.mp4"], decoder=decoder).frames([38, 39, 40, 99])] == [38, 39]


def test_a_truncated_file_gives_what_is_left_and_says_where_it_ends(tmp_path):
    path = write_clip(tmp_path / "cut.mkv", 60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    clip = open_clip(path, decoder="pyav")
    got = [frame.index for frame in clip.frames(range(clip.info.frame_count))]
    assert 0 < len(got) < 60
    assert got == list(range(len(got)))


def test_integrity_tells_concealed_frames_which_decord_hides(tmp_path):
    path = damage(write_clip(tmp_path / "damaged.mkv", 60, noise=True), range(20, 24))
    decord = list(open_clip(path, decoder="decord").frames(range(60)))
    assert not any(frame.corrupt for frame in decord)
    clip = open_clip(path, integrity=True)
    assert clip.info.decoder.startswith("pyav ")
    corrupt = [frame.index for frame in clip.frames(range(60)) if frame.corrupt]
    assert corrupt
    assert min(corrupt) >= 16  # before the damage nothing is marked


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"not a video at all" * 100, "cannot be opened as a video"),
        (bytes(4096), "cannot be opened as a video"),
    ],
)
def test_what_is_no_video_says_so(tmp_path, content, said):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=said):
        open_clip(path)


def test_a_missing_file_a_folder_and_a_sound_file_say_so(tmp_path):
    with pytest.raises(DecodeError, match="No such file"):
        open_clip(tmp_path / "gone.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(DecodeError, match="is not a file"):
        open_clip(tmp_path / "folder.mp4")
    import av

    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(DecodeError, match="holds no video stream"):
        open_clip(tmp_path / "sound.m4a")


def test_images_and_folders_of_images_are_clips(tmp_path):
    for index in (0, 3, 10, 11):
        cv2.imwrite(str(tmp_path / f"{index:04d}.png"), cv2.cvtColor(numbered(index), cv2.COLOR_RGB2BGR))
    (tmp_path / "notes.txt").write_text("not a frame")
    clip = open_clip(tmp_path, "frames")
    assert clip.indices == [0, 3, 10, 11]  # the numbers in the names: pairs need absolute indices
    assert [number(frame.rgb) for frame in clip.frames([3, 11])] == [3, 11]
    loose = open_clip(tmp_path / "0010.png", "image")
    assert loose.info.frame_count == 1
    assert number(next(iter(loose.frames([0]))).rgb) == 10


def test_image_folders_fall_back_to_natural_order(tmp_path):
    for name, index in (("a2.png", 1), ("a10.png", 2), ("a1.png", 0), ("b10.png", 3)):
        cv2.imwrite(str(tmp_path / name), cv2.cvtColor(numbered(index), cv2.COLOR_RGB2BGR))
    clip = open_clip(tmp_path, "frames")
    assert [number(frame.rgb) for frame in clip.frames([0, 1, 2, 3])] == [0, 1, 2, 3]


def test_a_broken_image_and_an_empty_folder_say_so(tmp_path):
    with pytest.raises(DecodeError, match="holds no image"):
        open_clip(tmp_path, "frames")
    (tmp_path / "x.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DecodeError, match="cannot be decoded"):
        open_clip(tmp_path / "x.png", "image")

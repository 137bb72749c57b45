"""Decoding: the right frames, upright, in RGB, from every container; a clear error for everything else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import decord
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.frames import DecodeError, decord_clip, open_clip, pyav_clip
from tests.curation.clips import blank_film, damage, number, numbered, write_clip
from tests.soak import scale

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

# what decord is given where PyAV does not get through; see decord_clip.trusts
DECORD = [name for name in CONTAINERS if name not in ("raw.264", "palette.gif")]

X265 = "log-level=none:keyint=25:min-keyint=25:open-gop=1:bframes=4"
GROUPS = {
    "closed.mp4": {"codec": "libx264", "options": {"g": "25", "bf": "3"}},
    "open.mp4": {"codec": "libx264", "options": {"bf": "3", "x264-params": "open-gop=1:keyint=25:min-keyint=5"}},
    "open.mkv": {"codec": "libx264", "options": {"bf": "3", "x264-params": "open-gop=1:keyint=25:min-keyint=5"}},
    "open hevc.mp4": {"codec": "libx265", "options": {"x265-params": X265}},
    "refresh.mkv": {"codec": "libx264", "options": {"bf": "0", "x264-params": "intra-refresh=1:keyint=25"}},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"g": "25", "bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "25", "bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"g": "25", "bf": "2"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "25", "deadline": "realtime", "cpu-used": "8"}},
    "vfr.mkv": {"codec": "libx264", "options": {"g": "25"}, "times": [40 * i + (i % 3) * 7 for i in range(150)]},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {name: write_clip(folder / name, **how) for name, how in CONTAINERS.items()}


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("name", CONTAINERS)
def test_frames_are_the_ones_asked_for(clips, name, decoder):
    if decoder == "decord" and name not in DECORD:
        with pytest.raises(DecodeError, match="count its frames wrongly"):
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


@pytest.mark.parametrize("name", DECORD)
def test_both_decoders_give_the_same_pixels(clips, name):
    wanted = [0, 7, 20, 39]
    ours = [frame.rgb.astype(int) for frame in open_clip(clips[name], decoder="decord").frames(wanted)]
    theirs = [frame.rgb.astype(int) for frame in open_clip(clips[name], decoder="pyav").frames(wanted)]
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a - b).max() <= 2


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_info_says_who_decodes(clips, name):
    assert open_clip(clips[name]).info.decoder == f"pyav {av.__version__}"
    if name in DECORD:
        assert open_clip(clips[name], decoder="decord").info.decoder == f"decord {decord.__version__}"


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


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """Clips of six groups of pictures, and every frame of each, decoded from the start."""
    folder = tmp_path_factory.mktemp("groups")
    paths = {name: write_clip(folder / name, 150, **how) for name, how in GROUPS.items()}
    return {name: (path, list(open_clip(path, decoder="pyav").frames(range(150)))) for name, path in paths.items()}


@pytest.mark.parametrize("name", GROUPS)
def test_far_frames_are_those_of_decoding_from_the_start(groups, name, monkeypatch):
    monkeypatch.setattr(pyav_clip, "_SEEK_GAIN", 10)
    path, expected = groups[name]
    assert [number(frame.rgb) for frame in expected] == list(range(150))
    chosen, forced = open_clip(path), open_clip(path, decoder="pyav")

    @settings(max_examples=15, deadline=None, database=None, derandomize=True)
    @given(st.sets(st.integers(0, 149), min_size=1, max_size=5).map(sorted))
    def check(wanted):
        assert [number(frame.rgb) for frame in chosen.frames(wanted)] == wanted
        got = list(forced.frames(wanted))
        assert [frame.index for frame in got] == wanted
        for frame in got:
            assert frame.time_s == expected[frame.index].time_s
            assert np.array_equal(frame.rgb, expected[frame.index].rgb)

    check()
    seeks = name not in ("mpeg4.avi", "mpeg2.ts")  # these containers have no index to go by
    assert (forced._jump(140, 0) > 100 - 10) == seeks


@pytest.mark.parametrize("name", ["open.mp4", "open hevc.mp4", "refresh.mkv", "mpeg4.mp4", "mpeg4.avi", "mpeg2.ts"])
def test_what_decord_would_count_wrongly_it_does_not_get(groups, name):
    path, _ = groups[name]
    with pytest.raises(DecodeError, match="count its frames wrongly"):
        open_clip(path, decoder="decord")
    reader = decord_clip.DecordClip(path, pyav_clip.probe(path))
    wrong = [i for i in (140, 149, 26, 24, 51, 76, 99) for f in reader.frames([i]) if number(f.rgb) != i]
    assert wrong  # where a newer decord counts rightly, it may read these too


@pytest.mark.parametrize("name", ["closed.mp4", "vfr.mkv", "vp9.webm"])
def test_decord_counts_rightly_what_it_gets(groups, name):
    clip = open_clip(groups[name][0], decoder="decord")
    for wanted in (140, 149, 26, 24, 51, 76, 99):
        assert [number(frame.rgb) for frame in clip.frames([wanted])] == [wanted]


def test_a_long_way_to_a_frame_is_no_silence(groups):
    path, _ = groups["mpeg2.ts"]
    beats = []
    clip = open_clip(path, decoder="pyav", beat=lambda: beats.append(1))
    opened = len(beats)
    assert [frame.index for frame in clip.frames([149])] == [149]
    assert opened >= 150 // 16
    assert len(beats) - opened >= 150 // 16


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_an_undecodable_packet_costs_its_own_frame(tmp_path, codec):
    options = {"x265-params": "log-level=none:keyint=20:bframes=0"} if codec == "libx265" else {"g": "20", "bf": "0"}
    path = write_clip(tmp_path / "x.mp4", 60, codec=codec, options=options)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for index in (33, 57):
        start, size = places[index]
        data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
    clip = open_clip(path, integrity=True)
    got = {frame.index: frame for frame in clip.frames(range(60))}
    assert {33, 57} <= set(clip.lost)
    assert all("cannot be decoded" in clip.lost[index] for index in (33, 57))
    assert set(got) | set(clip.lost) == set(range(60))
    assert all(number(frame.rgb) == index for index, frame in got.items() if not frame.corrupt)
    intact = {index for index, frame in got.items() if not frame.corrupt}
    assert intact == set(range(33)) | set(range(40, 57))  # up to the next keyframe everything is built on the damage


def test_with_integrity_nothing_built_on_damage_passes_as_intact(tmp_path):
    whole = write_clip(tmp_path / "whole.mkv", 60, noise=True, options={"g": "30", "bf": "3"})
    expected = [frame.rgb for frame in open_clip(whole, decoder="pyav").frames(range(60))]
    noticed = 0
    for packet in range(2, 56, 5):
        path = tmp_path / "damaged.mkv"
        path.write_bytes(whole.read_bytes())
        got = list(open_clip(damage(path, range(packet, packet + 1), seed=packet), integrity=True).frames(range(60)))
        differing = {frame.index for frame in got if not np.array_equal(frame.rgb, expected[frame.index])}
        marked = {frame.index for frame in got if frame.corrupt}
        if marked:
            noticed += 1
            assert differing <= marked
    assert noticed >= 5


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
    concealed = list(open_clip(path, decoder="decord").frames(range(60)))
    assert not any(frame.corrupt for frame in concealed)
    clip = open_clip(path, integrity=True)
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


FILM = """
import json, sys, time
from pathlib import Path
from curation.frames import open_clip
from curation.frames.sampling import spread
import numpy as np
from tests.curation.clips import number
beats = [time.monotonic()]
begun = time.monotonic()
clip = open_clip(Path(sys.argv[1]), beat=lambda: beats.append(time.monotonic()))
wanted = spread(np.arange(clip.info.frame_count), 32).tolist()
shown = []
for frame in clip.frames(wanted):
    beats.append(time.monotonic())
    shown.append(number(frame.rgb))
seconds = time.monotonic() - begun
status = Path("/proc/self/status").read_text()  # getrusage would tell the parent's peak where that was higher
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
still = float(np.diff(beats).max())
facts = {"decoder": clip.info.decoder, "wanted": wanted}
print(json.dumps(facts | {"shown": shown, "peak_mb": peak, "seconds": seconds, "still": still}))
"""


@pytest.mark.soak
def test_memory_does_not_grow_with_the_length_of_a_film(tmp_path):
    """A minute and two hours (in short: ten minutes) of 1920x1080, 32 frames of each."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    group = scale(25, 250)
    told = []
    for minutes in (1, scale(10, 120)):
        path = blank_film(tmp_path / f"{minutes}.mp4", minutes * 60 * 24, height=1080, width=1920, group=group, fps=24)
        words = [sys.executable, "-c", FILM, str(path)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        told.append(json.loads(done.stdout))
        assert told[-1]["shown"] == [index % group for index in told[-1]["wanted"]]
        figures = {name: round(value, 1) for name, value in told[-1].items() if isinstance(value, float)}
        print(f"{told[-1]['decoder']}, {minutes} min, {path.stat().st_size >> 20} MiB: {figures}")
        path.unlink()
    frame_mb = 1920 * 1080 * 3 / 1e6
    assert told[1]["peak_mb"] - told[0]["peak_mb"] < 4 * frame_mb
    assert told[1]["still"] < 60  # half of what a worker may be still

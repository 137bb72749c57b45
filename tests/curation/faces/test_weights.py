import functools
import hashlib
import http.server
import io
import pickle
import threading
from pathlib import Path

import pytest
import torch

from curation.faces.backend import FacesError
from curation.faces.fan import FAN, S3FD
from curation.faces.weights import WeightFile, load


class Opens:
    """A pickled object that would run code when it is loaded."""

    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def saved(content, **options) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def site(tmp_path):
    """A web server on this machine: its folder and its address."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def file_of(data: bytes, url: str = "http://127.0.0.1:9/tensors.pth") -> WeightFile:
    return WeightFile("tensors.pth", url, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_loaded_in_both_formats_of_torch(hub, zipped):
    data = saved({"weight": torch.arange(6.0)}, _use_new_zipfile_serialization=zipped)
    (hub / "tensors.pth").write_bytes(data)
    assert torch.equal(load(file_of(data))["weight"], torch.arange(6.0))


def test_a_file_with_other_bytes_is_refused_before_it_is_opened(hub):
    data = saved({"weight": torch.zeros(3)})
    (hub / "tensors.pth").write_bytes(saved({"weight": torch.ones(3)}))
    with pytest.raises(FacesError, match="not the file it should be.*delete it.*--aligner dlib"):
        load(file_of(data))


def test_a_pickled_object_is_refused_even_under_the_right_hash(hub):
    for data in (pickle.dumps(Opens(), protocol=2), saved({"weight": torch.ones(2), "extra": Opens()})):
        (hub / "tensors.pth").write_bytes(data)
        with pytest.raises(FacesError, match="more than tensors"):
            load(file_of(data))
        assert not Path("unpickled").exists()


def test_what_is_not_tensors_by_name_is_refused(hub):
    data = saved([torch.ones(2)])
    (hub / "tensors.pth").write_bytes(data)
    with pytest.raises(FacesError, match="tensors by name"):
        load(file_of(data))


def test_a_missing_file_that_cannot_be_downloaded_names_both_ways_out(hub):
    with pytest.raises(FacesError) as error:
        load(file_of(b""))
    assert str(hub / "tensors.pth") in str(error.value)
    assert "http://127.0.0.1:9/tensors.pth" in str(error.value) and "--aligner dlib" in str(error.value)
    assert list(hub.iterdir()) == []


def test_without_permission_nothing_is_downloaded(hub, site):
    folder, address = site
    data = saved({"weight": torch.ones(2)})
    (folder / "tensors.pth").write_bytes(data)
    with pytest.raises(FacesError, match="is missing"):
        load(file_of(data, address + "tensors.pth"), download=False)


def test_a_missing_file_is_downloaded_once(hub, site):
    folder, address = site
    data = saved({"weight": torch.ones(2)})
    (folder / "tensors.pth").write_bytes(data)
    assert torch.equal(load(file_of(data, address + "tensors.pth"))["weight"], torch.ones(2))
    (folder / "tensors.pth").unlink()
    assert torch.equal(load(file_of(data, address + "tensors.pth"))["weight"], torch.ones(2))
    assert [path.name for path in hub.iterdir()] == ["tensors.pth"]


def test_a_download_with_other_bytes_is_thrown_away(hub, site):
    folder, address = site
    (folder / "tensors.pth").write_bytes(b"something else")
    with pytest.raises(FacesError, match="gives another file"):
        load(file_of(saved({}), address + "tensors.pth"))
    assert list(hub.iterdir()) == []


def test_a_page_that_is_not_there_is_an_error_with_its_reason(hub, site):
    with pytest.raises(FacesError, match="File not found"):
        load(file_of(b"", site[1] + "tensors.pth"))


@pytest.mark.parametrize("file", [S3FD, FAN])
def test_the_hash_of_a_published_file_begins_as_its_name_says(file):
    """torch's hub convention: the name ends in the first digits of the SHA-256."""
    stem = file.name.split(".")[0]
    assert file.sha256.startswith(stem.rsplit("-", 1)[1]) and len(file.sha256) == 64
    assert file.url.endswith("/" + file.name)

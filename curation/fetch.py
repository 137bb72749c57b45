"""One video at a time from an address or an archive onto this machine: decoders read files and nothing else.

The video and its mask are brought into a scratch folder, whole and with the size that the store told, and are removed
when it is done. Whatever a store answers goes into the video's reason; a store that cannot be reached ends the run.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from curation.files import fingerprint, unpack
from curation.frames.image_clip import image_files
from curation.scratch import own_disk, scratch_folder
from curation.sources.archive import ArchiveError, archive_of
from curation.sources.remote import Place, RemotePath, place_of
from curation.sources.tree import unspell
from curation.video import Task, require_root

_TRIES = 3
_THREADS = 8  # of a folder of images: small files are mostly waiting


class NotFetched(Exception):
    """A video that the store does not give; the message is the reason for its row."""


@contextmanager
def at_hand(task: Task, with_mask: bool, beat: Callable[[], None]) -> Iterator[Task]:
    """The task with its files on this machine: itself where they lie there, else with a scratch folder as its root.

    Raises NotFetched, ScratchError, and SourceGone where the root itself cannot be listed.
    """
    root, video = place_of(task.root), task.video
    place = root / unspell(video["path"])
    packed = archive_of(place) is not None
    if isinstance(root, Path) and not packed:
        yield task
        return
    with scratch_folder() as folder:
        try:
            size, mtime = fingerprint(place, video["kind"])
            if packed:
                _unpack(place, folder / unspell(video["path"]), beat)
            else:
                _bring(place, folder / unspell(video["path"]), video["kind"] == "frames", beat)
            if video["mask_path"] and with_mask:
                mask = root / unspell(video["mask_path"])
                with suppress(FileNotFoundError):  # the clip of the mask will say that there is none
                    _bring(mask, folder / unspell(video["mask_path"]), mask.is_dir(), beat)
        except ArchiveError as error:
            raise NotFetched(str(error)) from error
        except OSError as error:
            require_root(task)
            raise NotFetched(f"cannot be read: {error.strerror or error}") from error
        here = video | {"bytes": size, "mtime_ns": mtime}
        yield dataclasses.replace(task, video=here, root=str(folder), fetched=True)


def _unpack(place: Place, to: Path, beat: Callable[[], None]) -> None:
    """A folder out of its archive, which is brought first where it is far, because a store may break off."""
    archive, inner = archive_of(place)
    if isinstance(archive, Path):
        unpack(archive, inner, to, beat)
        return
    with scratch_folder() as folder:
        _bring(archive, folder / archive.name, False, beat)
        unpack(folder / archive.name, inner, to, beat)


def _bring(place: RemotePath, file: Path, folder: bool, beat: Callable[[], None]) -> None:
    with own_disk():
        (file if folder else file.parent).mkdir(parents=True, exist_ok=True)
    if not folder:
        _copy(place, file, beat)
        return
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(lambda image: _copy(image, file / image.name, beat), image_files(place)):
            pass


def _copy(place: RemotePath, file: Path, beat: Callable[[], None]) -> None:
    for left in reversed(range(_TRIES)):
        try:
            with own_disk():
                out = file.open("wb")
            with out:
                for block in place.blocks():
                    with own_disk():
                        out.write(block)
                    beat()
                with own_disk():
                    out.flush()
            return
        except (FileNotFoundError, PermissionError):
            raise
        except OSError:
            if not left:
                raise
            time.sleep(2 ** (_TRIES - 1 - left))

"""Folders on this machine for as long as one video is at work: what was fetched or unpacked, a part that will travel.

They lie where TMPDIR says and are removed at the end. A worker that was killed cannot do that, so each folder carries a
lock that ends with its process, and a worker that starts removes those without a living one.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_PREFIX = "deepshard-scratch-"
_OWN_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class ScratchError(RuntimeError):
    """The scratch folder cannot be written: a reason to stop, not to fail a video."""

    deepshard_error = True

    @classmethod
    def of(cls, error: OSError) -> "ScratchError":
        return cls(
            f"cannot write into {tempfile.gettempdir()} ({error.strerror or error}): make room, or name another folder "
            "by TMPDIR, and run the same command again. Everything finished is kept"
        )


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder that is gone afterwards. Raises ScratchError."""
    clear_left_behind()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(folder / ".locking", os.O_CREAT | os.O_WRONLY, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(folder / ".locking", folder / ".lock")  # nobody sees it unlocked while its process lives
    except OSError as error:
        raise ScratchError.of(error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def own_disk() -> Iterator[None]:
    """Around what writes into a scratch folder: a fault of this machine's disk is a ScratchError."""
    try:
        yield
    except OSError as error:
        if error.errno in _OWN_FAULTS:
            raise ScratchError.of(error) from error
        raise


@cache  # once a process
def clear_left_behind() -> None:
    """Removes the folders of processes of this machine that are no more."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/.lock"):
        with suppress(OSError), lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)

"""One dataset repository on the Hub: what is in it, bytes out of it, files into it.

Everything is asked again where that may help, and what arrives is compared with the checksum that the Hub lists for
it: the SHA-256 of large files, git's blob id of small ones. Tokens come from where ``huggingface_hub`` keeps them
(HF_TOKEN, ``hf auth login``); they are never read here, and no message repeats an address or a header.
"""

import errno
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import huggingface_hub
import numpy as np
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session, hf_raise_for_status

from hub.errors import HubError, NotThere, Unanswered
from shards.reader import ShardReader
from shards.remote import THREADS, Unreachable, retried

TYPE = "dataset"
FILES_PER_COMMIT = 100  # as the Hub recommends, huggingface.co/docs/hub/repositories-recommendations
_TIMEOUT_S = 60

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """A repository as it is: the commit of a revision, and whether only those who are let in see it."""

    commit: str
    private: bool


@dataclass(frozen=True)
class Listed:
    """A file of a commit. ``sha256``: of its bytes, where the Hub keeps it as a large file; ``blob``: git's id."""

    size: int
    blob: str
    sha256: str | None

    def is_of(self, data: bytes) -> bool:
        """Whether these bytes are the file's."""
        if len(data) != self.size:
            return False
        if self.sha256:
            return hashlib.sha256(data).hexdigest() == self.sha256
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() == self.blob


class Repository:
    """``name``: USER/NAME. ``revision``: a branch, tag or commit. ``tries`` of a request, with pauses that begin at
    ``pause_s`` seconds and double, unless the Hub says how long to wait."""

    def __init__(self, name: str, revision: str = "main", tries: int = 6, pause_s: float = 0.5) -> None:
        if name.count("/") != 1 or "://" in name:
            raise HubError(f"{name!r} names no repository: write USER/NAME, as in huggingface.co/datasets/USER/NAME")
        self.name, self.revision = name, revision
        self._tries, self._pause_s = tries, pause_s
        self._api = HfApi()
        self._commit: str | None = None

    def __str__(self) -> str:
        return self.name

    def state(self) -> State | None:
        """What the Hub says of it; None if there is none, or none that this token may see. Raises Unanswered."""
        try:
            info = self._ask(
                "the repository", lambda: self._api.repo_info(self.name, repo_type=TYPE, revision=self.revision)
            )
        except NotThere as error:
            if isinstance(error.__cause__, RevisionNotFoundError):
                raise
            return None
        return State(info.sha, bool(info.private))

    def create(self, private: bool) -> None:
        """Make it. Raises Unanswered."""
        self._ask(
            "the new repository",
            lambda: self._api.create_repo(self.name, repo_type=TYPE, private=private, exist_ok=True),
        )

    def at(self, commit: str) -> "Repository":
        """The same repository at one commit, for reading."""
        return Repository(self.name, commit, self._tries, self._pause_s)

    def files(self) -> dict[str, Listed]:
        """Every file of the revision, by path. Raises NotThere, Unanswered."""

        def ask() -> dict[str, Listed]:
            tree = self._api.list_repo_tree(self.name, recursive=True, revision=self.revision, repo_type=TYPE)
            return {
                item.path: Listed(item.size, item.blob_id, item.lfs.sha256 if item.lfs else None)
                for item in tree
                if isinstance(item, huggingface_hub.hf_api.RepoFile)
            }

        return self._ask("the list of its files", ask)

    def fetch(self, path: str, listed: Listed) -> bytes:
        """A small file, whole and right. Raises NotThere, Unanswered."""
        for _ in range(2):
            data = self.range(path, 0, listed.size) if listed.size else b""
            if listed.is_of(data):
                return data
        raise Unanswered(
            f"{path} of {self.name} arrives with other bytes than the Hub lists for it: try again later; if it stays "
            "so, push it again"
        )

    def fetch_all(self, files: dict[str, Listed]) -> Iterator[tuple[str, bytes]]:
        """(path, bytes) of small files, several requests at a time."""
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                yield from zip(files, pool.map(lambda path: self.fetch(path, files[path]), files), strict=True)
            finally:
                pool.shutdown(cancel_futures=True)

    def range(self, path: str, start: int, end: int) -> bytes:
        """What the Hub gives for bytes [start, end) of a file. Raises NotThere, Unanswered."""
        url = huggingface_hub.hf_hub_url(
            self.name, path, repo_type=TYPE, revision=self.revision, endpoint=self._api.endpoint
        )

        def ask() -> bytes:
            headers = huggingface_hub.utils.build_hf_headers() | {"Accept-Encoding": "identity"}
            headers["Range"] = f"bytes={start}-{end - 1}"
            answer = get_session().get(url, headers=headers, timeout=_TIMEOUT_S)
            hf_raise_for_status(answer)
            if answer.status_code != 206:
                return answer.content[start:end]
            return answer.content

        return self._ask(path, ask)

    def send(self, additions: Sequence[CommitOperationAdd]) -> None:
        """Upload the bytes of large files, those that the Hub does not have yet; they are in no commit afterwards."""

        def ask() -> None:
            try:
                self._api.preupload_lfs_files(self.name, additions, repo_type=TYPE, revision=self.revision)
            except RuntimeError as error:  # the client wraps what went wrong with one of several files
                raise error.__cause__ or error from None

        self._ask(additions[0].path_in_repo, ask)

    def commit(
        self, operations: Sequence[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete], message: str
    ) -> str:
        """Make a commit of files that were sent; small ones go along. Returns its id. Raises Unanswered."""
        told = self._ask(
            "a commit",
            lambda: self._api.create_commit(
                self.name, operations, commit_message=message, repo_type=TYPE, revision=self.revision
            ),
        )
        return told.oid

    def _ask(self, what: str, ask: Callable[[], T]) -> T:
        with saying(self.name, what):
            return retried(ask, self._tries, self._pause_s)


class RangeReader(ShardReader):
    """Reads members of a repository's shards by ranges, keeps nothing. ``paths``: a shard's name -> its tar there."""

    far = True

    def __init__(self, repository: Repository, paths: dict[str, str]) -> None:
        super().__init__(Path("."))
        self._repository, self._paths = repository, paths

    def fetch(self, ranges, gap: int = 0):
        """As ``ShardReader.fetch``; what arrives damaged is asked for once more."""
        found, faults = super().fetch(ranges, gap)
        if faults:
            rows = np.array(sorted(faults))
            again, still = super().fetch(ranges.take(rows), gap)
            for row, data in zip(rows.tolist(), again, strict=True):
                found[row] = data
            faults = {int(rows[place]): self._advice(why) for place, why in still.items()}
        return found, faults

    def _advice(self, why: str) -> str:
        return f"{why.partition(': run')[0]}; that came from {self._repository.name}, twice. Try again later"

    def _read(self, name: str, offset: int, buffers: list[np.ndarray]) -> int:
        size = sum(map(len, buffers))
        data = np.frombuffer(self._repository.range(self._paths[name], offset, offset + size), np.uint8)
        done = 0
        for buffer in buffers:
            part = data[done : done + len(buffer)]
            buffer[: len(part)] = part
            done += len(part)
        return done


@contextmanager
def saying(name: str, what: str) -> Iterator[None]:
    """Turns what the client raises into one line that says what to do. ``what``: what was asked for."""
    try:
        yield
    except Unreachable as error:
        raise Unanswered(
            f"the Hub does not give or take {what} of {name} ({error}). What was done is kept: run the same command "
            "again"
        ) from error
    except GatedRepoError as error:
        raise NotThere(f"{name} is gated: ask for access on its page, then log in with `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise NotThere(f"{name} has no such revision: see its page for its branches and tags") from error
    except RepositoryNotFoundError as error:
        raise NotThere(
            f"there is no dataset {name} on the Hub, or your token may not see it: look at the name, or log in with "
            "`hf auth login`"
        ) from error
    except HFValidationError as error:
        raise HubError(f"{name!r} cannot name a repository: use letters, digits and - _ . in USER/NAME") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise Unanswered(
                f"the Hub refuses {what} of {name} (HTTP status {status}): the token has no right to it. Log in with a "
                "token that may write there: `hf auth login`"
            ) from error
        if status == 404:
            raise NotThere(f"{name} has no {what}") from error
        raise Unanswered(f"the Hub refuses {what} of {name} (HTTP status {status})") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise HubError(
                f"the disk takes no more ({what}: {error.strerror}). What came is kept: free space and run the same "
                "command again"
            ) from error
        raise

"""A Hub on this machine: as much of its HTTP API for datasets as the clients of this suite ask for, with real git-like
revisions, LFS objects, rights and visibility, so that ``huggingface_hub`` and ``datasets`` work unmodified through
``HF_ENDPOINT`` (with ``HF_HUB_DISABLE_XET=1``).

Facts are from the Hub's API page (huggingface.co/docs/hub/api), git-lfs's batch API (docs/api/batch.md in its
repository) and from what the installed client sends and reads. It counts every byte in and out, and fails as it is
told.
"""

import base64
import hashlib
import json
import re
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

WRITER, READER = "hf_" + "writer0123456789" * 2, "hf_" + "reader0123456789" * 2
RIGHTS = {WRITER: "write", READER: "read"}
USER = "somebody"
PAGE = 40  # entries of a listing: small, so that every listing has pages
LFS = (".tar", ".parquet", ".arrow", ".png")  # as the Hub's .gitattributes of a new dataset has it
LICENCES = (
    "other",
    "unknown",
    "mit",
    "apache-2.0",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
)
PART = 1 << 20  # of a multipart upload
FAULTS = ("cut", "flip", "429", "500", "hang up", "403")


@dataclass(frozen=True)
class Entry:
    """A file of a revision: its git blob id, and for an LFS file the SHA-256 of its bytes."""

    size: int
    oid: str
    sha256: str | None


@dataclass
class Repo:
    private: bool
    commits: dict[str, dict[str, Entry]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    large: set[str] = field(default_factory=set)  # LFS objects that were uploaded to it

    def files(self, revision: str) -> dict[str, Entry] | None:
        return self.commits.get(self.branches.get(revision, revision))


@dataclass
class Fault:
    """What happens to the next ``times`` requests of ``method`` whose path matches; ``after`` passes some before."""

    kind: str
    path: str
    method: str = "GET"
    times: int = 1
    after: int = 0


@dataclass
class Hub:
    """``sent`` and ``received``: bytes of bodies by kind of file; ``asked``: requests by method and kind."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # LFS, by SHA-256
    blobs: dict[str, bytes] = field(default_factory=dict)  # git, by blob id
    parts: dict[tuple[str, int], bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    sent: Counter = field(default_factory=Counter)
    received: Counter = field(default_factory=Counter)
    asked: Counter = field(default_factory=Counter)
    retry_after: str = "0"
    multipart: bool = False  # offer uploads in parts of PART bytes for what is larger
    lock: threading.RLock = field(default_factory=threading.RLock)

    def clear(self) -> None:
        for counts in (self.sent, self.received, self.asked):
            counts.clear()
        self.faults.clear()

    def content(self, repo: str, path: str, revision: str = "main") -> bytes:
        """A file as it lies there."""
        entry = self.repos[repo].files(revision)[path]
        return self.objects[entry.sha256] if entry.sha256 else self.blobs[entry.oid]

    def listing(self, repo: str, revision: str = "main") -> dict[str, Entry]:
        return dict(self.repos[repo].files(revision) or {})

    def environment(self, token: str | None = WRITER) -> dict[str, str]:
        """What an unmodified client needs to find this Hub."""
        told = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        told |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return told | ({"HF_TOKEN": token} if token else {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"})


def blob_id(data: bytes) -> str:
    """The name git gives to a file's bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """What git keeps of an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.where, self.query = parts.path, parse_qs(parts.query)
        self.kind = self.where.rpartition(".")[2] if "/resolve/" in self.where else "api"
        self.kind = "part" if "/part/" in self.where else self.kind
        fault = self._fault()
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "cut" and self.command == "PUT":
            self.hub.received["lfs"] += len(self.rfile.read(length // 2))
            self._hang_up()
            return
        body = self.rfile.read(length) if length else b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        self.fault = fault
        with self.hub.lock:
            self.hub.asked[self.command, self.kind] += 1
            if self.command == "PUT" and self.where.startswith("/lfs/"):
                self.hub.received["lfs"] += len(body)
        if fault == "hang up":
            self._hang_up()
            return
        try:
            if fault in ("429", "500", "403"):
                raise Refused(int(fault), message="told to")
            self._answer(body)
        except Refused as refused:
            extra = {"Retry-After": self.hub.retry_after} if refused.status == 429 else {}
            extra |= {"X-Error-Code": refused.code} if refused.code else {}
            extra |= {"X-Error-Message": refused.message} if refused.message else {}
            self._send(json.dumps({"error": refused.message}).encode(), refused.status, extra)

    def _fault(self) -> str | None:
        with self.hub.lock:
            for fault in self.hub.faults:
                if fault.method == self.command and re.search(fault.path, unquote(self.path)):
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    if not fault.times:
                        self.hub.faults.remove(fault)
                    return fault.kind
        return None

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if getattr(self, "fault", None) == "cut":
            data = data[: len(data) // 2]
        with self.hub.lock:
            self.hub.sent[self.kind] += len(data)
        self.wfile.write(data)
        if getattr(self, "fault", None) == "cut":
            self._hang_up()

    def _json(self, told: object, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(told).encode(), 200, headers)

    def _right(self) -> str | None:
        """What the token of the request may do."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in RIGHTS:
            raise Refused(401, message="Invalid credentials in Authorization header")
        return RIGHTS.get(token)

    def _repo(self, name: str, write: bool = False) -> Repo:
        repo, right = self.hub.repos.get(name), self._right()
        if repo is None or (repo.private and right is None):
            raise Refused(404 if right else 401, "RepoNotFound", "Repository not found")
        if write and right != "write":
            raise Refused(403 if right else 401, message="you must use a write token to write to a repository")
        return repo

    def _files(self, repo: Repo, revision: str) -> tuple[dict[str, Entry], str]:
        commit = repo.branches.get(unquote(revision), unquote(revision))
        if commit not in repo.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo.commits[commit], commit

    def _answer(self, body: bytes) -> None:
        for method, pattern, name in ROUTES:
            if method == self.command and (found := re.fullmatch(pattern, self.where)):
                getattr(self, name)(body, *(part and unquote(part) for part in found.groups()))
                return
        raise Refused(404, message=f"{self.command} {self.where} is not served")

    def whoami(self, body: bytes) -> None:
        if not (right := self._right()):
            raise Refused(401, message="Invalid username or password.")
        self._json({"type": "user", "name": USER, "auth": {"accessToken": {"role": right}}, "orgs": []})

    def validate_yaml(self, body: bytes) -> None:
        """What a card's head must be before it is taken: a mapping, with a licence that the Hub knows."""
        errors = []
        try:
            head = yaml.safe_load(json.loads(body)["content"].split("---")[1])
            licence = head.get("license")
            if licence is not None and licence not in LICENCES:
                errors.append({"message": f'"license" must be one of [{", ".join(LICENCES)}]'})
            if licence == "other" and not head.get("license_name"):
                errors.append({"message": '"license_name" is required where the license is other'})
        except (yaml.YAMLError, IndexError, AttributeError) as error:
            errors.append({"message": f"not a YAML head: {error}"})
        self._send(json.dumps({"errors": errors, "warnings": []}).encode(), 400 if errors else 200)

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        if self._right() != "write":
            raise Refused(403 if self._right() else 401, message="You don't have the rights to create a dataset")
        name = f"{asked.get('organization') or USER}/{asked['name']}"
        url = {"url": f"{self.hub.url}/datasets/{name}"}
        with self.hub.lock:
            if name in self.hub.repos:
                self._send(json.dumps({"error": "You already created this dataset repo", **url}).encode(), 409)
                return
            private = asked.get("private") or asked.get("visibility") == "private"
            repo = self.hub.repos[name] = Repo(private=bool(private))
            self._commit(repo, "main", {}, "initial commit")
        self._json(url | {"id": name})

    def settings(self, body: bytes, name: str) -> None:
        repo, asked = self._repo(name, write=True), json.loads(body)
        repo.private = asked.get("private", asked.get("visibility", "") == "private")
        self._json({})

    def branch(self, body: bytes, name: str, branch: str) -> None:
        repo = self._repo(name, write=True)
        if branch in repo.branches:
            raise Refused(409, message="Reference already exists")
        repo.branches[branch] = repo.branches["main"]
        self._json({})

    def info(self, body: bytes, name: str, revision: str | None = None) -> None:
        repo = self._repo(name)
        files, commit = self._files(repo, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(files)]
        told = {"_id": "0" * 24, "id": name, "author": name.split("/")[0], "sha": commit, "private": repo.private}
        self._json(told | {"siblings": siblings, "tags": [], "gated": False, "disabled": False, "downloads": 0})

    def tree(self, body: bytes, name: str, revision: str, folder: str | None = None) -> None:
        files, commit = self._files(self._repo(name), revision)
        folder = (folder or "").strip("/")
        inside = {path: entry for path, entry in files.items() if not folder or path.startswith(f"{folder}/")}
        if folder and not inside:
            raise Refused(404, "EntryNotFound", f"{folder} does not exist on {revision}")
        recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        start = len(folder) + 1 if folder else 0
        told: dict[str, dict] = {}
        for path in sorted(inside):
            steps = path[start:].split("/")
            for depth in range(1, len(steps) if recursive else min(2, len(steps))):
                above = path[:start] + "/".join(steps[:depth])
                told[above] = {"type": "directory", "path": above, "size": 0, "oid": blob_id(above.encode())}
            if recursive or len(steps) == 1:
                told[path] = self._told(path, inside[path], commit)
        first = int(self.query.get("cursor", ["0"])[0])
        page = list(told.values())[first : first + PAGE]
        headers = {}
        if first + PAGE < len(told):
            words = {name: values[0] for name, values in self.query.items()} | {"cursor": str(first + PAGE)}
            following = "&".join(f"{word}={quote(value)}" for word, value in words.items())
            headers["Link"] = f'<{self.hub.url}{self.where}?{following}>; rel="next"'
        self._json(page, headers)

    def _told(self, path: str, entry: Entry, commit: str) -> dict:
        told = {"type": "file", "path": path, "size": entry.size, "oid": entry.oid}
        if entry.sha256:
            size = len(pointer(entry.sha256, entry.size))
            told["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": size}
        if self.query.get("expand", ["false"])[0].lower() in ("true", "1"):
            told["lastCommit"] = {"id": commit, "title": "a commit", "date": "2026-01-01T00:00:00.000Z"}
        return told

    def paths_info(self, body: bytes, name: str, revision: str) -> None:
        files, commit = self._files(self._repo(name), revision)
        if self.headers.get("Content-Type", "").startswith("application/json"):
            asked = json.loads(body)
            wanted, self.query = asked["paths"], {"expand": [str(asked.get("expand", False))]}
        else:
            self.query = parse_qs(body.decode())
            wanted = self.query.get("paths", [])
        told = []
        for path in wanted:
            if path in files:
                told.append(self._told(path, files[path], commit))
            elif any(other.startswith(f"{path}/") for other in files):
                told.append({"type": "directory", "path": path, "size": 0, "oid": blob_id(path.encode())})
        self._json(told)

    def preupload(self, body: bytes, name: str, revision: str) -> None:
        files, _ = self._files(self._repo(name, write=True), revision)
        told = []
        for file in json.loads(body)["files"]:
            mode = "lfs" if file["path"].endswith(LFS) else "regular"
            there = files.get(file["path"])
            told.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
            told[-1]["oid"] = there.oid if there else None
        self._json({"files": told})

    def batch(self, body: bytes, name: str) -> None:
        repo = self._repo(name, write=True)
        told = []
        for asked in json.loads(body)["objects"]:
            oid, size = asked["oid"], asked["size"]
            answer = {"oid": oid, "size": size}
            if oid not in repo.large:
                header: dict[str, str] = {}
                href = f"{self.hub.url}/lfs/{name}/{oid}"
                if self.hub.multipart and size > PART:
                    header = {str(n + 1): f"{href}/part/{n + 1}" for n in range(-(-size // PART))}
                    header["chunk_size"] = str(PART)
                    href += "/complete"
                verify = {"href": f"{self.hub.url}/datasets/{name}.git/info/lfs/objects/verify"}
                answer["actions"] = {"upload": {"href": href, "header": header}, "verify": verify}
            told.append(answer)
        self._json({"transfer": "basic", "objects": told})

    def upload(self, body: bytes, name: str, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refused(400, message="the bytes are not those of the object")
        self.hub.objects[oid] = body
        self.hub.repos[name].large.add(oid)
        self._send(b"", 200, {"ETag": f'"{oid}"'})

    def upload_part(self, body: bytes, name: str, oid: str, number: str) -> None:
        self.hub.parts[oid, int(number)] = body
        self._send(b"", 200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def complete(self, body: bytes, name: str, oid: str) -> None:
        parts = json.loads(body)["parts"]
        data = b"".join(self.hub.parts.pop((oid, part["partNumber"])) for part in parts)
        if hashlib.sha256(data).hexdigest() != oid:
            raise Refused(400, message="the parts are not those of the object")
        self.hub.objects[oid] = data
        self.hub.repos[name].large.add(oid)
        self._json({})

    def verify(self, body: bytes, name: str) -> None:
        asked = json.loads(body)
        there = self.hub.objects.get(asked["oid"])
        if there is None or len(there) != asked["size"]:
            raise Refused(404, message="the object is not here")
        self._json({})

    def commit(self, body: bytes, name: str, revision: str) -> None:
        repo = self._repo(name, write=True)
        files, head = dict(self._files(repo, revision)[0]), repo.branches.get(revision)
        summary = ""
        for line in body.splitlines():
            step = json.loads(line)
            value = step["value"]
            if step["key"] == "header":
                summary = value["summary"]
                if value.get("parentCommit") not in (None, head):
                    raise Refused(412, message="A commit has happened since. Please refresh and try again.")
            elif step["key"] == "file":
                data = base64.b64decode(value["content"])
                self.hub.blobs[blob_id(data)] = data
                files[value["path"]] = Entry(len(data), blob_id(data), None)
            elif step["key"] == "lfsFile":
                if value["oid"] not in repo.large:
                    raise Refused(400, message=f"LFS object {value['oid']} was not uploaded")
                size = len(self.hub.objects[value["oid"]])
                files[value["path"]] = Entry(size, blob_id(pointer(value["oid"], size)), value["oid"])
            elif step["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise Refused(404, "EntryNotFound", f"{value['path']} does not exist")
            elif step["key"] == "deletedFolder":
                for path in [path for path in files if path.startswith(value["path"].rstrip("/") + "/")]:
                    del files[path]
        with self.hub.lock:
            oid = self._commit(repo, revision, files, summary)
        url = f"{self.hub.url}/datasets/{name}/commit/{oid}"
        self._json({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def _commit(self, repo: Repo, branch: str, files: dict[str, Entry], message: str) -> str:
        told = [len(repo.messages), message, sorted((path, entry.oid) for path, entry in files.items())]
        oid = hashlib.sha1(json.dumps(told).encode()).hexdigest()
        repo.commits[oid], repo.branches[branch] = files, oid
        repo.messages.append(message)
        return oid

    def resolve(self, body: bytes, name: str, revision: str, path: str) -> None:
        files, commit = self._files(self._repo(name), revision)
        entry = files.get(path)
        if entry is None:
            raise Refused(404, "EntryNotFound", "Entry not found")
        data = self.hub.objects[entry.sha256] if entry.sha256 else self.hub.blobs[entry.oid]
        headers = {"Content-Type": "application/octet-stream", "ETag": f'"{entry.sha256 or entry.oid}"'}
        headers |= {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if entry.sha256:
            headers |= {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
        status = 200
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last or entry.size - 1), entry.size - 1) + 1
            if begin >= entry.size:
                raise Refused(416, message="Range Not Satisfiable")
            data, status = data[begin:end], 206
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{entry.size}"
        if self.fault == "flip" and data:
            data = bytes(byte ^ (at % 1000 == 999 or at == len(data) // 2) for at, byte in enumerate(data))
        if self.command == "HEAD":
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(entry.size))
            self.end_headers()
            return
        self._send(data, status, headers)


_REPO = r"([^/]+/[^/]+)"
ROUTES = [
    ("GET", "/api/whoami-v2", "whoami"),
    ("POST", "/api/validate-yaml", "validate_yaml"),
    ("POST", "/api/repos/create", "create"),
    ("GET", f"/api/datasets/{_REPO}", "info"),
    ("GET", f"/api/datasets/{_REPO}/revision/([^/]+)", "info"),
    ("PUT", f"/api/datasets/{_REPO}/settings", "settings"),
    ("POST", f"/api/datasets/{_REPO}/branch/([^/]+)", "branch"),
    ("GET", f"/api/datasets/{_REPO}/tree/([^/]+)(?:/(.+))?", "tree"),
    ("POST", f"/api/datasets/{_REPO}/paths-info/([^/]+)", "paths_info"),
    ("POST", f"/api/datasets/{_REPO}/preupload/([^/]+)", "preupload"),
    ("POST", f"/api/datasets/{_REPO}/commit/([^/]+)", "commit"),
    ("POST", rf"/datasets/{_REPO}\.git/info/lfs/objects/batch", "batch"),
    ("POST", rf"/datasets/{_REPO}\.git/info/lfs/objects/verify", "verify"),
    ("PUT", f"/lfs/{_REPO}/([0-9a-f]{{64}})", "upload"),
    ("PUT", f"/lfs/{_REPO}/([0-9a-f]{{64}})/part/([0-9]+)", "upload_part"),
    ("POST", f"/lfs/{_REPO}/([0-9a-f]{{64}})/complete", "complete"),
    ("GET", f"/datasets/{_REPO}/resolve/([^/]+)/(.+)", "resolve"),
    ("HEAD", f"/datasets/{_REPO}/resolve/([^/]+)/(.+)", "resolve"),
]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up when they have what they want; anything else is a defect of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def hub() -> Iterator[Hub]:
    """An empty Hub at ``http://127.0.0.1:PORT``."""
    told = Hub()
    server = _Server(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": told}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

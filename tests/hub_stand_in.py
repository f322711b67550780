"""A stand-in for the Hugging Face hub on loopback: the routes, redirects and headers of the real one, and faults.

Small files answer with an ETag; weights redirect to another host name, as to a content delivery network, with
``X-Linked-Size`` and ``X-Linked-ETag``; ranges are served. Every request is kept in `requests`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Files = Mapping[str, bytes]
LARGE = ".safetensors"
FAULTS = (
    "none", "silent", "silent-weights", "slow", "cut-off", "cut-off-no-ranges", "wrong-length", "401", "404", "429",
    "500", "weights-500", "weights-403",
)  # fmt: skip


class HubStandIn:
    """A hub that serves repositories from memory.

    Parameters
    ----------
    repositories : mapping of str to mapping of str to files
        By name, then by revision: file name to content.
    fault : str
        One of `FAULTS`.
    """

    def __init__(self, repositories: Mapping[str, Mapping[str, Files]], *, fault: str = "none") -> None:
        assert fault in FAULTS
        self.repositories = repositories
        self.fault = fault
        self.requests: list[tuple[str, str]] = []
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def weight_requests(self) -> list[tuple[str, str]]:
        """Requests for the content of weights."""
        return [(method, path) for method, path in self.requests if path.startswith("/cdn/") and method == "GET"]

    def __enter__(self) -> HubStandIn:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


def commit_of(files: Files) -> str:
    """A commit hash that depends on the content."""
    digest = hashlib.sha1()
    for name in sorted(files):
        digest.update(name.encode() + digest_of(files[name]).encode())
    return digest.hexdigest()


@functools.cache
def digest_of(content: bytes) -> str:
    """The sha256 of a file's content; files of half a gigabyte are hashed once."""
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if self.hub.fault == "silent":
            self.hub.closing.wait(120)
            self.close_connection = True
            return
        if self.hub.fault.isdigit():
            self._fail(int(self.hub.fault))
            return
        api = re.fullmatch(r"/api/models/(.+?)(?:/revision/(.+))?", path)
        resolve = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path)
        if api:
            self._list(api[1], api[2] or "main")
        elif path.startswith("/cdn/"):
            self._deliver(path)
        elif resolve:
            self._resolve(*resolve.groups())
        else:
            self._fail(404)

    def _find(self, repository: str, revision: str) -> Files | None:
        revisions = self.hub.repositories.get(repository, {})
        by_commit = {commit_of(files): files for files in revisions.values()}
        return revisions.get(revision) or by_commit.get(revision)

    def _list(self, repository: str, revision: str) -> None:
        files = self._find(repository, revision)
        if files is None:
            known = repository in self.hub.repositories
            self._fail(404, {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})
            return
        siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
        listing = {"_id": "0", "id": repository, "modelId": repository, "sha": commit_of(files), "private": False,
                   "gated": False, "tags": [], "siblings": siblings}  # fmt: skip
        self._send(json.dumps(listing).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        files = self._find(repository, revision)
        if files is None:
            self._fail(404, {"X-Error-Code": "RevisionNotFound"})
            return
        headers = {"X-Repo-Commit": commit_of(files)}
        if name not in files:
            self._fail(404, {**headers, "X-Error-Code": "EntryNotFound"})
            return
        content = files[name]
        if not name.endswith(LARGE):
            self._send(content, {**headers, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'})
            return
        digest = digest_of(content)
        # The other name of the same machine: another host, as a content delivery network is.
        location = f"http://localhost:{self.hub.port}/cdn/{repository}/{revision}/{name}"
        self._send(
            b"", {**headers, "Location": location, "X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{digest}"'},
            status=302,
        )  # fmt: skip

    def _deliver(self, path: str) -> None:
        fault = self.hub.fault
        if fault.startswith("weights-"):
            self._fail(int(fault.removeprefix("weights-")))
            return
        _, _, rest = path.partition("/cdn/")
        *repository, revision, name = rest.split("/")
        files = self._find("/".join(repository), revision)
        assert files is not None
        content = files[name]
        if fault == "wrong-length":
            content = content[:-1000]
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and fault != "cut-off-no-ranges":
            start = int(asked[1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{digest_of(content)}"')
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self._pour(content[start:], fault, whole=start == 0)

    def _pour(self, content: bytes, fault: str, *, whole: bool) -> None:
        try:
            if fault == "slow":
                for place in range(0, len(content), 256):
                    self.wfile.write(content[place : place + 256])
                    if self.hub.closing.wait(0.25):
                        break
            elif fault == "silent-weights":
                if whole:  # and nothing at all to one who comes back for the rest
                    self.wfile.write(content[:200_000])
                self.hub.closing.wait(120)
            elif fault.startswith("cut-off"):
                self.wfile.write(content[: len(content) // 3] if fault == "cut-off-no-ranges" else content[:1_000_000])
            else:
                self.wfile.write(content)
                return
        except OSError:
            pass
        self.close_connection = True

    def _fail(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        self._send(b'{"error": "stand-in"}', {"Content-Type": "application/json", **(headers or {})}, status=status)

    def _send(self, content: bytes, headers: Mapping[str, str], *, status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def wait_until(condition, *, seconds: float) -> bool:
    """Wait for a condition; return whether it came about."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False

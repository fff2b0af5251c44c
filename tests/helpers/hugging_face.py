"""A server of repositories on this machine, with the shape of the API that `huggingface_hub` uses.

Large files travel by Git LFS. Clients need HF_HUB_DISABLE_XET=1, because Xet is a protocol of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_of_the_owner"


class Repositories(ThreadingHTTPServer):
    """files: repository -> path -> content. Whoever writes needs `TOKEN`; weights travel as large files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.large: dict[str, bytes] = {}
        self.broken = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def repositories() -> Iterator[Repositories]:
    """Serve until the block ends."""
    with Repositories() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Repositories
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answered(self._read)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answered(self._write)

    def do_PUT(self) -> None:
        self.server.large[self.path.rsplit("/", 1)[1]] = self._body
        self._send(200, b"")

    def _answered(self, how: Any) -> None:
        if self.server.broken:
            self._send(500, b"{}")
            return
        how([unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")])

    def _read(self, parts: list[str]) -> None:
        if parts[:2] == ["api", "models"]:
            files = self._files("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
            if files is not None:
                self._json(
                    [{"type": "file", "path": p, "size": len(d), "oid": "0" * 40} for p, d in files.items()]
                )
            return
        if len(parts) < 5 or parts[2] != "resolve":
            self._send(404, b"{}")
            return
        files = self._files("/".join(parts[:2]), parts[3])
        if files is None:
            return
        data = files[parts[4]]
        etag = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self._send(200, data, **etag)

    def _write(self, parts: list[str]) -> None:
        body = self._body
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, b'{"error": "Invalid username or password."}')
            return
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            status = 409 if name in self.server.files else 200
            self.server.files.setdefault(name, {})
            self._json({"url": f"{self.server.endpoint}/{name}", "name": name}, status)
            return
        if parts == ["api", "validate-yaml"]:  # of a card
            self._json({"errors": [], "warnings": []})
            return
        if parts[-2:] == ["objects", "batch"]:
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.server.endpoint}/large/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})
            return
        files = self._files("/".join(parts[2:4]), "main")
        if files is None:
            return
        if parts[4] == "preupload":
            kinds = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular"}
                for f in json.loads(body)["files"]
            ]
            self._json({"files": [{**kind, "shouldIgnore": False} for kind in kinds]})
            return
        for line in body.splitlines():
            change = json.loads(line)
            if change["key"] == "file":
                files[change["value"]["path"]] = base64.b64decode(change["value"]["content"])
            elif change["key"] == "lfsFile":
                files[change["value"]["path"]] = self.server.large[change["value"]["oid"]]
        self._json(
            {
                "commitUrl": f"{self.server.endpoint}/{'/'.join(parts[2:4])}/commit/{COMMIT}",
                "commitOid": COMMIT,
                "success": True,
            }
        )

    def _files(self, name: str, revision: str) -> dict[str, bytes] | None:
        """The files of a repository, or None after the answer that there are none."""
        if name not in self.server.files:
            self._send(404, b'{"error": "Repository not found"}', **{"X-Error-Code": "RepoNotFound"})
            return None
        if revision not in ("main", COMMIT):
            self._send(404, b'{"error": "Invalid rev id"}', **{"X-Error-Code": "RevisionNotFound"})
            return None
        return self.server.files[name]

    @property
    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), **{"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

"""A small stand-in for the Hugging Face Hub on the loopback address: models, revisions, commits."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """Repositories in memory: ``commits[name]`` is a list of {path: content}, the last is main."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commits, self.asked, self.away = {}, [], False

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, name, files):
        """Add a commit and return its sha."""
        self.commits.setdefault(name, []).append(dict(files))
        return sha_of(name, len(self.commits[name]) - 1)

    def find(self, name, revision):
        """Return the sha and the files of a revision; None if there is none."""
        every = self.commits.get(name, [])
        for number, files in reversed(list(enumerate(every))):
            if revision in ("main", sha_of(name, number)):
                return sha_of(name, number), files
        return None


def sha_of(name, number):
    return hashlib.sha1(f"{name} {number}".encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def parse_request(self):
        if self.server.away:  # connections that are open are cut as well
            self.close_connection = True
            return False
        return super().parse_request()

    def do_GET(self):
        self.server.asked.append(self.path)
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            return self._info(found[1], found[2] or "main")
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(?:/.*)?", path):
            return self._tree(found[1], found[2])
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(*found.groups())
        return self._refuse("EntryNotFound")

    do_HEAD = do_GET

    def do_POST(self):
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given.get('organization') or 'me'}/{given['name']}"
            self.server.commits.setdefault(name, [{}])
            return self._send({"url": f"{self.server.address}/{name}", "id": name})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = json.loads(body)["files"]
            modes = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for each in files]  # fmt: skip
            return self._send({"files": modes})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._commit(found[1], body)
        return self._send({})

    def _commit(self, name, body):
        files = dict(self.server.commits[name][-1])
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "deletedFile":
                files.pop(entry["value"]["path"])
        commit = self.server.put(name, files)
        address = f"{self.server.address}/{name}/commit/{commit}"
        return self._send({"commitUrl": address, "commitOid": commit, "hookOutput": ""})

    def _info(self, name, revision):
        if name not in self.server.commits:
            return self._refuse("RepoNotFound")
        if (found := self.server.find(name, revision)) is None:
            return self._refuse("RevisionNotFound")
        files = [{"rfilename": path, "size": len(content), "blobId": "0"}
                 for path, content in found[1].items()]  # fmt: skip
        return self._send({"id": name, "modelId": name, "sha": found[0], "siblings": files,
                           "private": False, "tags": [], "downloads": 0, "likes": 0})  # fmt: skip

    def _tree(self, name, revision):
        _, files = self.server.find(name, revision)
        return self._send([{"type": "file", "path": path, "size": len(content), "oid": "0"}
                           for path, content in files.items()])  # fmt: skip

    def _file(self, name, revision, path):
        if (found := self.server.find(name, revision)) is None or path not in found[1]:
            return self._refuse("EntryNotFound")
        content = found[1][path]
        etag = hashlib.sha1(content).hexdigest()
        return self._send(content, {"ETag": f'"{etag}"', "X-Repo-Commit": found[0]})

    def _refuse(self, code):
        self._send({"error": code}, {"X-Error-Code": code}, 404)

    def _send(self, value, headers=(), status=200):
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in dict(headers).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def hub():
    """Yield a hub that answers on the loopback address."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def asked_by(monkeypatch, cache):
    """Yield a hub that huggingface_hub asks in this process, with a cache of its own."""
    from huggingface_hub import constants

    with hub() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.address)
        template = found.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setenv("HF_TOKEN", "token")
        yield found


def files_of(folder):
    """Return the content of each file in a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }

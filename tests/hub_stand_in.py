"""A local server that answers like the Hugging Face hub does for the download of a model."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

COMMIT = "a" * 40


class HubStandIn:
    """Serves ``models`` ({repository: {path: bytes}}); ``requests`` records what was asked.

    ``tokens`` gives the token that a private repository needs; ``gated`` names repositories nobody
    has access to; ``broken`` makes every answer an error 500.
    """

    def __init__(self, models, tokens=None, gated=(), broken=False):
        self.models, self.tokens, self.gated, self.broken = models, tokens or {}, gated, broken
        self.requests = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                stand_in.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def downloaded(self):
        return sorted(
            path.split(f"/resolve/{COMMIT}/")[1]
            for method, path, _ in self.requests
            if method == "GET" and "/resolve/" in path
        )

    def answer(self, request):
        path = urlparse(request.path).path
        authorization = request.headers.get("authorization")
        self.requests.append((request.command, path, authorization))
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        repository = "/".join(parts[2:4] if api else parts[:2])
        token = self.tokens.get(repository)
        if self.broken:
            return reply(request, 500, b"{}", {})
        if repository in self.gated:
            return reply(request, 403, b"{}", {"X-Error-Code": "GatedRepo"})
        if repository not in self.models or (token and authorization != f"Bearer {token}"):
            # The hub does not tell a private model from one that does not exist.
            return reply(request, 401, b"{}", {"X-Error-Code": "RepoNotFound"})
        files = self.models[repository]
        if api and parts[4] == "revision":
            if parts[5] not in ("main", COMMIT):
                return reply(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            siblings = [{"rfilename": name} for name in files]
            return as_json(request, {"id": repository, "sha": COMMIT, "siblings": siblings})
        if api and parts[4] == "tree":
            if parts[5] != COMMIT:
                return reply(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": etag(content)}
                for name, content in files.items()
            ]
            return as_json(request, entries)
        name = "/".join(parts[4:])
        if name not in files:
            return reply(request, 404, b"{}", {"X-Error-Code": "EntryNotFound"})
        content = files[name]
        headers = {"ETag": f'"{etag(content)}"', "X-Repo-Commit": COMMIT}
        return reply(request, 200, content, headers)


def etag(content):
    return hashlib.sha1(content).hexdigest()


def as_json(request, value):
    reply(request, 200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def reply(request, status, content, headers):
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)

"""A web server on this machine that gives files, parts of them, and a hub's answers."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Server:
    """What it gives, and what it was asked."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    """Content by path; any other path is 404."""
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Status and the hub's error code, by the beginning of a path."""
    commit: str = "0" * 40
    parts: bool = True
    """Whether it gives parts of a file."""
    breaks_after: int | None = None
    """How many bytes of an answer it sends before it breaks off."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path, and the part asked for."""


@contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            server.asked.append((self.command, self.path, self.headers["Range"]))
            for beginning, (status, code) in server.refusals.items():
                if self.path.startswith(beginning):
                    return self.give(status, {"X-Error-Code": code}, b"")
            content = server.files.get(self.path)
            if content is None:
                return self.give(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": server.commit}, b"")
            start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
            known = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": server.commit}
            if not self.headers["Range"] or not server.parts:
                return self.give(200, known, content, body)
            if start >= len(content):
                return self.give(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
            place = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.give(206, known | place, content[start:], body)

        def give(self, status: int, headers: dict[str, str], content: bytes, body: bool = True) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content[: server.breaks_after])

        def log_message(self, *_: object) -> None:
            """Nothing."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{web.server_port}")
    thread = Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        thread.join()
        web.server_close()

"""A small server for one folder on this machine alone: it shows the page and saves its labels.

It listens on the loopback address. Other pages that a person has open could speak with it all the same, so a request
must name this very server as its host (else a name of somebody else's that is made to point here would do), and one
that writes must come from a page of this server and hold a secret that only such a page can read.
"""

from __future__ import annotations

import json
import mimetypes
import os
import re
import secrets
import stat
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

from utils.datasets.formats.page_labels import parse_page_labels
from utils.system.errors import UserError
from utils.view.page import PAGE_FILE
from utils.view.saved_labels import LABELS_FILE, read_saved, save_labels

HOST = "127.0.0.1"
MAX_LABELS_BYTES = 64 << 20
PIECE = 1 << 16
TIMEOUT = 30  # seconds that a connection may be silent


class Refusal(Exception):
    """What is not answered: a status, and why."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def path_of(address: str) -> str:
    """The path in the address that a request names; raises `Refusal` where that is none."""
    try:
        return urlsplit(address).path
    except ValueError:
        raise Refusal(HTTPStatus.BAD_REQUEST, "no address") from None


class FolderServer(ThreadingHTTPServer):
    """Serves a folder.

    Args:
        folder: with the page.
        port: to listen on; 0 takes a free one.

    Raises:
        UserError: the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.token = Path(os.path.realpath(folder)), secrets.token_urlsafe(32)
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise UserError(f"--port {port}: cannot be listened on ({error.strerror}); give another one") from None
        own = self.server_address[1]
        self.hosts = {f"{HOST}:{own}", f"localhost:{own}"}

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def find(self, path: str) -> Path:
        """The file that a request's path names; raises `Refusal` where none in the folder does."""
        missing = Refusal(HTTPStatus.NOT_FOUND, "no such file")
        name = os.fsdecode(unquote_to_bytes(path_of(path))).lstrip("/") or PAGE_FILE
        parts = name.split("/")
        if "\0" in name or "\\" in name or any(part in ("", ".", "..") or part.startswith(".") for part in parts):
            raise missing
        try:
            real = Path(os.path.realpath(self.folder.joinpath(*parts), strict=True))
            regular = stat.S_ISREG(os.stat(real).st_mode)
        except (OSError, ValueError):
            raise missing from None
        if self.folder not in real.parents or not regular:
            raise missing
        return real


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: FolderServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "view", ""
    timeout = TIMEOUT

    def do_GET(self) -> None:  # noqa: N802, D102 - named by http.server
        self._answer(self._get)

    def do_HEAD(self) -> None:  # noqa: N802, D102
        self._answer(self._get)

    def do_POST(self) -> None:  # noqa: N802, D102
        self._answer(self._post)

    def log_message(self, *_: object) -> None:
        """Nothing: a terminal full of requests helps nobody."""

    def _answer(self, act) -> None:
        try:
            if self.headers.get_all("Host") is None or len(self.headers.get_all("Host")) != 1:
                raise Refusal(HTTPStatus.BAD_REQUEST, "no host, or several")
            if self.headers["Host"].lower() not in self.server.hosts:
                raise Refusal(HTTPStatus.FORBIDDEN, "another host was asked for")
            act()
        except Refusal as refusal:
            self.close_connection = True  # of what was sent, nothing more is read
            self._send(str(refusal).encode(), "text/plain; charset=utf-8", refusal.status)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _head(self, status: HTTPStatus, kind: str, length: int, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        for name, value in (more or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._head(status, kind, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def _get(self) -> None:
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Refusal(HTTPStatus.FORBIDDEN, "asked for by a page from elsewhere")
        if path_of(self.path) == "/session":
            content = {"token": self.server.token, **self._labels()}
            self._send(json.dumps(content).encode(), "application/json")
            return
        path = self.server.find(self.path)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        kind += "; charset=utf-8" if kind.startswith("text/") else ""
        try:
            opened = open(path, "rb")  # noqa: SIM115 - an error while it is sent is another one
        except OSError as error:
            raise Refusal(HTTPStatus.NOT_FOUND, f"the file cannot be read ({error.strerror})") from None
        with opened as file:
            size = os.fstat(file.fileno()).st_size
            start, end = self._range(size)
            more = {"Accept-Ranges": "bytes"}
            if (start, end) == (0, size):
                self._head(HTTPStatus.OK, kind, size, more)
            else:
                more["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
                self._head(HTTPStatus.PARTIAL_CONTENT, kind, end - start, more)
            if self.command != "HEAD":
                self._copy(file, start, end)

    def _range(self, size: int) -> tuple[int, int]:
        """Which bytes of a file are asked for, as a half-open range; several at once are answered with all."""
        found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", self.headers.get("Range", ""))
        if not found or not any(found.groups()):
            return 0, size
        first, last = found.groups()
        if first:
            start, end = int(first), min(int(last) + 1 if last else size, size)
        else:
            start, end = max(0, size - int(last)), size
        if start >= end:
            raise Refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"the file has {size} bytes")
        return start, end

    def _copy(self, file: BinaryIO, start: int, end: int) -> None:
        file.seek(start)
        while start < end and (piece := file.read(min(PIECE, end - start))):
            self.wfile.write(piece)
            start += len(piece)

    def _labels(self) -> dict[str, object]:
        """The labels that were saved before, None where nothing was, and the problem with what is there instead."""
        try:
            text = read_saved(self.server.folder / LABELS_FILE)
        except UserError as error:
            return {"labels": None, "problem": str(error)}
        return {"labels": text and json.loads(text), "problem": None}

    def _post(self) -> None:
        origin, host = self.headers.get("Origin", ""), self.headers["Host"].lower()
        if origin != f"http://{host}" or self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise Refusal(HTTPStatus.FORBIDDEN, "sent by a page from elsewhere")
        if not secrets.compare_digest(self.headers.get("X-Token", "").encode(), self.server.token.encode()):
            raise Refusal(HTTPStatus.FORBIDDEN, "without the word that pages of this server know; load the page anew")
        if path_of(self.path) != f"/{LABELS_FILE}":
            raise Refusal(HTTPStatus.NOT_FOUND, f"only {LABELS_FILE} is written")
        if self.headers.get_content_type() != "application/json":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no JSON")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,12}", length) or "Transfer-Encoding" in self.headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "of no told length")
        if int(length) > MAX_LABELS_BYTES:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_LABELS_BYTES >> 20} MiB")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refusal(HTTPStatus.BAD_REQUEST, "cut off")
        self._send(self._save(body).encode("utf-8", "replace"), "text/plain; charset=utf-8")

    def _save(self, body: bytes) -> str:
        """Save labels; returns where, for people."""
        path = self.server.folder / LABELS_FILE
        try:
            text = body.decode("utf-8")
            parse_page_labels(text, "what was sent")
        except (UserError, UnicodeDecodeError) as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from None
        try:
            kept = save_labels(path, text)
        except UserError as error:
            raise Refusal(HTTPStatus.CONFLICT, str(error)) from None
        return (
            f"{path}; what was there holds decisions that this page does not, and is kept in {kept}"
            if kept
            else str(path)
        )

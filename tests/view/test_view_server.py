"""The server of `python -m utils.view`: what it answers and to whom, what it writes and over what."""

import contextlib
import http.client
import json
import os
import socket
import threading

import pytest

from utils.system.errors import UserError
from utils.view.server import HOST, MAX_LABELS_BYTES, FolderServer

LABELS = {
    "made_by": "python -m utils.view",
    "format": 1,
    "sequence": "s",
    "size": [64, 48],
    "complete": False,
    "frames": [{"number": 0, "boxes": [{"box": [1, 2, 3, 4], "class": "target", "state": "accepted"}]}],
}
PAGE, SECRET = b"<!doctype html><p>page", b"secret"


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "view.html").write_bytes(PAGE)
    (folder / "a b.mp4").write_bytes(bytes(range(100)))
    (folder / ".hidden").write_bytes(SECRET)
    (folder / "masks").mkdir()
    (folder / "masks/0.png").write_bytes(b"mask")
    (tmp_path / "outside.txt").write_bytes(SECRET)
    (tmp_path / "results-too").mkdir()
    (tmp_path / "results-too/x").write_bytes(SECRET)
    (folder / "link").symlink_to(tmp_path / "outside.txt")
    (folder / "way").symlink_to(tmp_path / "results-too")
    (folder / "inner").symlink_to(folder / "view.html")
    with FolderServer(folder) as own:
        thread = threading.Thread(target=own.serve_forever, args=(0.02,))
        thread.start()
        yield own
        own.shutdown()
        thread.join()


def ask(server, path, method="GET", body=None, **headers):
    """Status, headers and content of an answer; a header of None is left out."""
    port = server.server_address[1]
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        given = {"Host": f"{HOST}:{port}"} | ({} if body is None else {"Content-Length": str(len(body))})
        for name, value in (given | {key.replace("_", "-"): text for key, text in headers.items()}).items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def post(server, body=None, path="/labels.json", **headers):
    own = server.address.rstrip("/")
    given = {"Origin": own, "X_Token": server.token, "Content_Type": "application/json"}
    return ask(server, path, "POST", json.dumps(LABELS).encode() if body is None else body, **(given | headers))


def test_it_listens_on_the_loopback_address_alone(server):
    assert server.server_address[0] == "127.0.0.1" and server.socket.getsockname()[0] == "127.0.0.1"


def test_the_page_and_files_of_the_folder_are_served(server):
    assert ask(server, "/")[2] == PAGE == ask(server, "/view.html")[2] == ask(server, "/inner")[2]
    assert ask(server, "/masks/0.png")[2] == b"mask"
    status, headers, content = ask(server, "/a%20b.mp4")
    assert (status, headers["Content-Type"], len(content)) == (200, "video/mp4", 100)
    assert headers["X-Content-Type-Options"] == "nosniff" and "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/../outside.txt",
        "/masks/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/%2e%2e%2foutside.txt",
        "/%252e%252e/outside.txt",
        "/..%5coutside.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/etc/passwd",
        "/link",
        "/way/x",
        "/way/../outside.txt",
        "/../results-too/x",
        "/.hidden",
        "/masks/./0.png",
        "/masks",
        "/masks/",
        "/view.html%00.png",
        "/nothing",
        "http://elsewhere/../outside.txt",
    ],
)
def test_no_path_leads_out_of_the_folder_or_to_hidden_files(server, path):
    status, _, content = ask(server, path)
    assert status in (400, 404) and SECRET not in content and b"root:" not in content


def test_an_absolute_path_of_a_file_outside_is_refused(server):
    outside = server.folder.parent / "outside.txt"
    assert ask(server, f"/{outside}")[0] == ask(server, str(outside))[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", None])
@pytest.mark.parametrize("path", ["/", "/session", "/labels.json"])
def test_a_request_for_another_host_is_refused(server, host, path):
    host = host and host.format(port=server.server_address[1])
    status, _, content = ask(server, path, Host=host)
    assert status in (400, 403) and PAGE not in content and server.token.encode() not in content


def test_localhost_is_another_name_of_it(server):
    assert ask(server, "/", Host=f"localhost:{server.server_address[1]}")[0] == 200


def test_pages_from_elsewhere_read_nothing(server):
    assert ask(server, "/session", Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server, "/session", Sec_Fetch_Site="same-site")[0] == 403  # another port of this machine
    assert ask(server, "/session", Sec_Fetch_Site="same-origin")[0] == 200


def test_labels_are_saved_and_given_back(server):
    assert json.loads(ask(server, "/session")[2]) == {"token": server.token, "labels": None, "problem": None}
    status, _, said = post(server)
    assert status == 200 and said.decode() == str(server.folder / "labels.json")
    assert json.loads((server.folder / "labels.json").read_text()) == LABELS
    assert post(server, json.dumps(LABELS | {"complete": True}).encode())[0] == 200
    assert json.loads(ask(server, "/session")[2])["labels"]["complete"] is True
    assert sorted(path.name for path in server.folder.glob("*.tmp")) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"X_Token": None},
        {"X_Token": "x"},
    ],
)
def test_a_post_from_elsewhere_writes_nothing(server, headers):
    assert post(server, **headers)[0] == 403
    assert not (server.folder / "labels.json").exists()


def test_forms_of_other_pages_are_refused_by_their_kind_too(server):
    assert post(server, Content_Type="text/plain")[0] == 415
    assert post(server, Content_Type="multipart/form-data; boundary=x")[0] == 415


@pytest.mark.parametrize("path", ["/view.html", "/", "/masks/labels.json", "/../labels.json"])
def test_nothing_but_the_labels_is_written(server, path):
    assert post(server, path=path)[0] == 404
    assert (server.folder / "view.html").read_bytes() == PAGE


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server):
    assert post(server, b"{}", Content_Length=str(MAX_LABELS_BYTES + 1))[0] == 413
    assert post(server, b"{}", Content_Length="-1")[0] == 411
    assert post(server, b"2\r\n{}\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")[0] == 411


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"null", json.dumps(LABELS | {"format": 2}).encode(), b"[" * 100_000]
)
def test_what_is_no_labels_is_not_saved(server, body):
    assert post(server, body)[0] == 400
    assert not (server.folder / "labels.json").exists()


def test_a_body_that_is_cut_off_leaves_the_labels_as_they_were(server):
    post(server)
    before = (server.folder / "labels.json").read_bytes()
    with socket.create_connection(server.server_address) as one:
        own = server.address.rstrip("/")
        one.sendall(
            f"POST /labels.json HTTP/1.1\r\nHost: {own[7:]}\r\nOrigin: {own}\r\nX-Token: {server.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{".encode()
        )
        one.shutdown(socket.SHUT_WR)
        assert b" 400 " in one.recv(1000)
    assert (server.folder / "labels.json").read_bytes() == before


def test_labels_that_somebody_else_made_stay(server):
    path = server.folder / "labels.json"
    path.write_text('{"images": []}')
    status, _, said = post(server)
    assert status == 409 and b"has not made" in said and path.read_text() == '{"images": []}'
    assert json.loads(ask(server, "/session")[2])["labels"] is None


def labels_of(*boxes, sequence="s", number=0):
    frames = [{"number": number, "boxes": [{"class": "target", **box} for box in boxes]}]
    return LABELS | {"sequence": sequence, "frames": frames}


FOUND, MOVED, OTHER = [1, 2, 3, 4], [2, 2, 3, 4], [9, 9, 3, 4]


@pytest.mark.parametrize(
    "slip", [json.dumps(LABELS)[:-2], json.dumps(LABELS | {"format": 9}), json.dumps(LABELS) + "\xff"]
)
def test_labels_in_which_somebody_slipped_are_told_and_stay(server, slip):
    path = server.folder / "labels.json"
    path.write_text(slip, encoding="latin-1")
    session = json.loads(ask(server, "/session")[2])
    assert session["labels"] is None and session["problem"].startswith(str(path))
    assert session["problem"].endswith("mend it, or move it away")
    status, _, said = post(server)
    assert status == 409 and said.decode() == session["problem"] and path.read_text("latin-1") == slip


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        (labels_of({"box": FOUND, "state": "accepted"}), labels_of({"box": FOUND, "state": "unreviewed"}), False),
        (labels_of({"box": FOUND, "state": "rejected"}), labels_of({"box": OTHER, "state": "accepted"}), True),
        (labels_of({"box": FOUND, "state": "unreviewed"}), labels_of(), False),
        (
            labels_of({"box": MOVED, "from": FOUND, "state": "moved"}),
            labels_of({"box": FOUND, "state": "rejected"}),
            False,
        ),
        (labels_of({"box": FOUND, "state": "accepted"}), labels_of({"box": FOUND, "state": "added"}), True),
        (labels_of({"box": FOUND, "state": "added"}), labels_of(), False),
        (labels_of({"box": FOUND, "state": "added"}), labels_of(number=1), True),
        (
            labels_of({"box": FOUND, "state": "accepted"}),
            labels_of({"box": FOUND, "state": "accepted"}, sequence="t"),
            True,
        ),
    ],
)
def test_decisions_that_the_page_does_not_hold_are_kept_beside(server, old, new, lost):
    path = server.folder / "labels.json"
    for n in (1, 2):
        path.write_text(json.dumps(old))
        status, _, said = post(server, json.dumps(new).encode())
        kept = path.with_name(f"labels.json.{n}")
        assert (
            status == 200
            and json.loads(path.read_text()) == new
            and kept.exists() == lost == (str(kept) in said.decode())
        )
        assert not lost or json.loads(kept.read_text()) == old


def test_a_file_that_cannot_be_read_and_an_address_that_is_none_are_answered(server, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("utils.view.server.open", refuse, raising=False)
    status, _, said = ask(server, "/view.html")
    assert status == 404 and b"Permission denied" in said
    assert ask(server, "http://[")[0] == post(server, path="http://[")[0] == 400


def test_a_link_is_not_written_through(server):
    target = server.folder.parent / "elsewhere.json"
    target.write_text(json.dumps(LABELS))
    (server.folder / "labels.json").symlink_to(target)
    assert post(server, json.dumps(LABELS | {"complete": True}).encode())[0] == 409
    assert json.loads(target.read_text()) == LABELS and os.path.islink(server.folder / "labels.json")


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-9", 206, bytes(range(10))),
        ("bytes=90-", 206, bytes(range(90, 100))),
        ("bytes=-5", 206, bytes(range(95, 100))),
        ("bytes=95-200", 206, bytes(range(95, 100))),
        ("bytes=99-99", 206, b"\x63"),
        ("bytes=0-", 200, bytes(range(100))),
        ("bytes=0-1,4-5", 200, bytes(range(100))),
        ("apples=1", 200, bytes(range(100))),
        ("bytes=100-", 416, None),
        ("bytes=5-2", 416, None),
    ],
)
def test_parts_of_a_video_are_served(server, asked, status, content):
    found, headers, body = ask(server, "/a%20b.mp4", Range=asked)
    assert found == status and (content is None or body == content)
    if status == 206:
        assert headers["Content-Range"].endswith("/100") and int(headers["Content-Length"]) == len(body)


def test_a_head_has_no_body(server):
    status, headers, body = ask(server, "/view.html", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(PAGE)), b"")


def test_other_methods_are_unknown(server):
    assert ask(server, "/view.html", "PUT", b"x")[0] == ask(server, "/view.html", "DELETE")[0] == 501


def test_a_port_that_is_taken_is_named(server):
    with pytest.raises(UserError, match="--port .*cannot be listened on"):
        FolderServer(server.folder, server.server_address[1])

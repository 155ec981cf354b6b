"""URLs are shown without what could open the camera, wherever they are shown."""

import pickle

import pytest
from cameras import served
from scripts import run_without_torch, script

from utils.system.addresses import hide_in_text, hide_secrets
from utils.system.command_line import Parser
from utils.system.errors import UserError
from utils.video.growing_folder import GrowingFolder
from utils.video.live import LiveSource
from utils.video.sources import open_sources

SHOWN = {  # what is shown of URLs that hold no secret or one at a usual place
    "rtsp://10.0.0.5:554/Streaming/Channels/101": "rtsp://10.0.0.5:554/Streaming/Channels/101",
    "http://camera.local/axis-cgi/mjpg/video.cgi": "http://camera.local/axis-cgi/mjpg/video.cgi",
    "udp://@239.0.0.1:1234": "udp://239.0.0.1:1234",
    "rtsp://[fe80::1]:554/h264": "rtsp://[fe80::1]:554/h264",
    "rtsp://10.0.0.5//live": "rtsp://10.0.0.5//live",
    "rtsp://S3kret@10.0.0.5/live": "rtsp://10.0.0.5/live",
    "rtsp://admin:S3kret@10.0.0.5/live": "rtsp://10.0.0.5/live",
    "rtsp://admin:a@S3kret@10.0.0.5/live": "rtsp://10.0.0.5/live",
    "rtsp://admin:a:S3kret@camera.local/live": "rtsp://camera.local/live",
    "rtsp://admin:a S3kret b@camera.local/live": "rtsp://camera.local/live",
    "rtsp://admin:S3kret@[fe80::1]/live": "rtsp://[fe80::1]/live",
    "rtsp://10.0.0.5/live?S3kret": "rtsp://10.0.0.5/live?…",
    "rtsp://10.0.0.5/live?channel=1&password=S3kret#x": "rtsp://10.0.0.5/live?…",
    "rtsp://10.0.0.5?password=S3kret": "rtsp://10.0.0.5?…",
    "rtsp://10.0.0.5/live#S3kret": "rtsp://10.0.0.5/live#…",
    "rtsp://10.0.0.5/user=admin_password=S3kret_channel=1_stream=0.sdp?real_stream": "rtsp://10.0.0.5/…?…",
    "rtsp://10.0.0.5/user=admin&password=S3kret&channel=1/0": "rtsp://10.0.0.5/…",
    "rtsp://10.0.0.5/0/admin:S3kret/main": "rtsp://10.0.0.5/0/…",
    "rtsp://10.0.0.5/live;password=S3kret": "rtsp://10.0.0.5/…",
    "rtsp://10.0.0.5/a%2Fpassword%3DS3kret": "rtsp://10.0.0.5/…",
    "http://10.0.0.5/token/S3kret/live": "http://10.0.0.5/…",
    "http://10.0.0.5/admin_pwd-S3kret": "http://10.0.0.5/…",
    "rtmp://live.tv/app/live_12345_S3kretS3kretS3kret": "rtmp://live.tv/app/…",
    "rtsp://admin:pa/S3kret@10.0.0.5:554/live": "rtsp://10.0.0.5:554/…",
    "rtsp://admin:pa?S3kret@10.0.0.5:554/live": "rtsp://10.0.0.5:554/…",
    "rtsp://admin:pa#S3kret@10.0.0.5:554?x": "rtsp://10.0.0.5:554/…",
    "rtsp://10.0.0.5/live?password=a@S3kret": "rtsp://10.0.0.5/…",
    "rtsp://u:p@10.0.0.5/live?password=a@S3kret": "rtsp://10.0.0.5/…",
}
ODD = [  # whose parts cannot be told apart: as little as possible is shown
    "rtsp://admin:pa/S3kret@camera.local/live",
    "rtsp://admin:p@S3kret/w@camera.local/live",
    "rtsp://camera.local/live?password=a@S3kret",
    "rtsp://camera.local/S3kret@x",
    "rtsp://camera.local/x@S3kret/live",
    "rtsp://admin:S3kret",
    "rtsp://admin:S3kret/live",
    "rtsp://admin:S3kret%40camera.local/live",
    "http://proxy/rtsp://admin:S3kret@camera.local/live",
    "http://proxy/rtsp://camera.local/user=S3kret",
    "rtsp:///user=S3kret",
    "rtsp://@/password=S3kret",
    "rtsp://@@@admin:S3kret@@/",
    "rtsp://10.0.0.5:S3kret@x:y:z",
    "rtsp://10.0.0.5:554@admin:S3kret",
    "pw S3kret rtsp://camera.local/live",
    "cache:http://admin:S3kret@camera.local",
    "rtsp://\nadmin:S3kret@camera.local",
    "rtsp://camera.local\n/S3kret S3kret",
    "rtsp://?S3kret",
    "rtsp://#S3kret@",
    "rtsp://camera.local/#a?b=S3kret",
    "rtsp://camera.local/S3kret:",
]


@pytest.mark.parametrize("url", SHOWN)
def test_a_url_is_shown_up_to_where_a_secret_may_be(url):
    assert hide_secrets(url) == SHOWN[url]
    assert "S3kret" not in hide_secrets(url)
    assert hide_secrets(hide_secrets(url)) == hide_secrets(url)


@pytest.mark.parametrize("url", ODD)
def test_of_an_odd_url_no_secret_is_shown(url):
    assert "S3kret" not in hide_secrets(url) and "://" in hide_secrets(url)
    assert "S3kret" not in hide_secrets(hide_secrets(url))


@pytest.mark.parametrize("path", ["0", "frames/0", "C:/x@y", "a@b/c=d.mp4", "x:y", ""])
def test_what_is_no_url_stays_as_it_is(path):
    assert hide_secrets(path) == hide_in_text(path) == path


def test_messages_keep_all_but_the_secrets_of_their_urls():
    found = "--out: found 'http://u:S3kret@h/a.pt', expected a file"
    assert hide_in_text(found) == "--out: found 'http://h/a.pt', expected a file"
    assert hide_in_text("a (http://h/live); b: x:/y, http://h: c") == "a (http://h/live); b: x:/y, http://h: c"
    assert hide_in_text("rtsp:/u:S3kret@h/live: gone") == "rtsp://h/live: gone"
    assert hide_in_text("no http://u:my S3kret pass@h/x here") == "no http://h/x here"
    assert hide_in_text("1http://u:S3kret@h --a=rtsp://u:S3kret@h") == "…://…"
    two = "found 'http://u:S3kret@h/a', expected x (http://h/live); (rtsp:/u:S3kret@h/y)."
    assert "S3kret" not in hide_in_text(two) and hide_in_text(two).startswith("found 'http://")


def test_an_error_of_the_user_holds_no_secret_also_in_another_process():
    error = UserError("http://admin:S3kret@h/x?S3kret: gone")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == "http://h/x?…: gone"
    assert "S3kret" not in repr(error)


@pytest.mark.parametrize("url", [*SHOWN, *ODD])
def test_whatever_is_asked_of_a_url_its_error_is_silent_about_the_secret(url, monkeypatch):
    monkeypatch.setattr("cv2.VideoCapture", lambda *_: type("Closed", (), {"isOpened": lambda self: False})())
    parser = Parser(prog="x")
    parser.add_argument("--number", type=int)
    for ask in (
        lambda: LiveSource(url, patience=0.1),
        lambda: GrowingFolder(url),
        lambda: open_sources(url),
    ):
        with pytest.raises(UserError) as error:
            ask()
        assert "S3kret" not in str(error.value)


def test_what_the_decoder_says_of_a_broken_stream_is_shown_without_its_secrets(monkeypatch):
    class Broken:
        isOpened, get, release = (lambda self, *_: 1,) * 3

        def read(self):
            raise OSError("no answer from rtsp://admin:S3kret@h/live?S3kret")

    monkeypatch.setattr("cv2.VideoCapture", lambda *_: Broken())
    source = LiveSource("rtsp://admin:S3kret@h/live?S3kret", patience=1)
    with pytest.raises(UserError, match="no answer from rtsp://h/live") as error:
        list(source)
    assert "S3kret" not in str(error.value) + source.report() and "rtsp://h/live?…" in source.report()


@pytest.mark.parametrize("option", ["--source", "--watch", "--truth", "--weights", "--method", "--wrong", "--wrong="])
def test_no_option_repeats_the_secret_of_a_url(option):
    url = "rtsp://admin:S3kret@127.0.0.1:9/user=admin_password=S3kret?password=S3kret"
    given = [f"{option}{url}"] if option.endswith("=") else [option, url]
    ended = run_without_torch("vid_predict", "--source", url, "--watch", "0.2", "--method", "top-hat", *given)
    assert ended.returncode == 2 and ended.stderr.startswith("error: ")
    assert "S3kret" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "before, behind",
    [
        ("admin:S3kret@", "?channel=1&password=S3kret"),
        ("", "/user=admin_password=S3kret_channel=1_stream=0.sdp?real_stream"),
        ("S3:kret@S3kret@", "/user=admin&password=S3kret&channel=1#S3kret"),
        ("admin:S3kret@", "/admin:S3kret/live?mail=me@S3kret"),
    ],
)
def test_no_file_of_a_camera_has_its_secret_in_name_or_content(tmp_path, monkeypatch, capfd, before, behind):
    monkeypatch.chdir(tmp_path)
    with served() as (address, _):
        arguments = ["--method", "top-hat", "--preview", "--gif"]
        script("vid_predict").main(["--source", f"http://{before}{address}{behind}", *arguments])
    said = "".join(capfd.readouterr())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"predictions.json", "coco.json", "detections.csv", "tracks.csv"} <= {path.name for path in files}
    assert "127.0.0.1" in "".join(path.read_text() for path in files if path.name == "predictions.json")
    for secret in ("S3", "kret", "admin", "password"):
        assert secret not in said
        assert not [path for path in files if secret in str(path.relative_to(tmp_path))]
        assert not [path for path in files if secret.encode() in path.read_bytes() and len(secret) > 3]


def test_messages_show_the_ends_of_endless_names():
    text = str(UserError(f"a.txt: found {'x' * 70000} and {'y' * 300}, expected a name"))
    assert len(text) < 1000 and "found xxx" in text and "…" in text and "y" * 300 in text

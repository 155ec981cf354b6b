"""The page: what is put into it, and how it behaves in a browser."""

import csv
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from trees import write

from benchmarks.browser import Browser, find_browser
from utils.images.image_files import read_frame
from utils.predictor.classical import classical_predictor
from utils.render.sequence import RenderSettings, render
from utils.system.errors import UserError
from utils.video.sources import open_sources
from utils.view.contents import PageObject, PageSequence
from utils.view.grouping import extend_tracks
from utils.view.page import page_of_results, write_page
from utils.view.pictures import PictureBudget, pictures_of_source
from utils.view.results import find_source, read_folder

FRAMES, SHAPE = 12, (48, 64)
NASTY = "</script><b>A&B'\""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of a classical method on two targets that move, the second one in half of the frames."""
    root, out = tmp_path_factory.mktemp("frames"), tmp_path_factory.mktemp("out")
    for number in range(FRAMES):
        frame = np.random.default_rng(number).integers(90, 100, SHAPE).astype(np.uint8)
        frame[10:13, 5 + 3 * number : 8 + 3 * number] += 120
        if number >= FRAMES // 2:
            frame[30:33, 50 - 2 * number : 53 - 2 * number] += 120
            frame[33, 50 - 2 * number] += 120
        write(root / "seq" / f"{number}.png", frame)
    (source,) = open_sources(root / "seq")
    render(source, classical_predictor("top-hat"), None, RenderSettings(quiet=True), out)
    return SimpleNamespace(folder=out, source=source, page=page_of_results(out, source))


def blocks(text):
    """The page's data by id."""
    return dict(re.findall(r'<script type="[a-z/]+" id="([^"]+)">(.*?)</script>', text, re.S))


def test_the_page_holds_what_the_results_hold(results):
    data = json.loads(blocks(results.page.read_text())["data-0"])
    with open(results.folder / "detections.csv") as file:
        rows = list(csv.DictReader(file))
    found = data["objects"]
    assert data["numbers"] == list(range(FRAMES)) and data["size"] == [64, 48]
    frames = np.repeat(data["numbers"], found["counts"]).tolist()
    assert [(frame, x, y, w, h) for frame, x, y, w, h in zip(frames, *(found[key] for key in "xywh"), strict=True)] == [
        (int(row["frame"]), *(float(row[key]) for key in "xywh")) for row in rows
    ]
    assert found["score"] == pytest.approx([float(row["score"]) for row in rows], abs=1e-4)
    tracks = [int(row["track"]) if row["track"] else None for row in rows]
    assert {1, 2} <= set(tracks)
    assert all(mine == theirs for mine, theirs in zip(found["track"], tracks, strict=True) if theirs is not None)


def test_tracks_have_their_first_boxes_too(results):
    sequence = read_folder(results.folder)
    for track, first in ((1, 0), (2, FRAMES // 2)):
        frames = [n for n, own in enumerate(sequence.objects) if any(item.track == track for item in own)]
        assert frames[0] <= first + 1


def test_outlines_are_the_masks(results):
    sequence = read_folder(results.folder)
    written = {item.outline for own in sequence.objects for item in own}
    assert any(written), "every component is a full box, so that nothing is shown by this"
    for number, own in enumerate(sequence.objects):
        painted = np.zeros(SHAPE, bool)
        for item in own:
            x, y, w, h = map(int, item.box)
            runs = [int(length) for length in item.outline.split(",")] if item.outline else [0, w * h]
            pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
            painted[y : y + h, x : x + w] |= np.append(pixels, np.zeros(w * h - len(pixels), bool)).reshape(h, w)
        np.testing.assert_array_equal(painted, read_frame(results.folder / "masks" / f"{number}.png") > 0)


def test_every_frame_has_its_picture(results):
    found = blocks(results.page.read_text())
    lines = found["pictures-0-0"].strip().split("\n")
    assert len(lines) == FRAMES and len(set(lines)) == FRAMES and all(line.startswith("UklGR") for line in lines)


def test_frames_that_are_gone_leave_their_places(results, capsys):
    numbers = [-3, 0, 2, 3, 99]
    found = list(pictures_of_source(results.source, numbers))
    assert [bool(picture) for picture in found] == [False, True, True, True, False]
    assert found[1:4] == [list(pictures_of_source(results.source, range(FRAMES)))[n] for n in (0, 2, 3)]
    assert "2 frames of the results are not in the source any more" in capsys.readouterr().err


def test_pictures_beyond_the_budget_are_left_out_and_told(capsys):
    budget = PictureBudget(10)
    assert list(budget.limit(["aaaa", "bbbbbb", "c", "d"])) == ["aaaa", "bbbbbb", "", ""]
    budget.tell()
    assert "the pictures of 2 frames are left out" in capsys.readouterr().err


def test_single_boxes_that_lead_to_a_track_join_it():
    def box(x, track=None, y=10.0):
        return PageObject((x, y, 2.0, 2.0), 0.9, track)

    frames = [[box(0), box(40)], [box(5), box(5, y=30.0)], [box(10)], [box(15, 7)], [box(20, 7)], [box(25)]]
    joined = [[item.track for item in own] for own in extend_tracks(frames)]
    assert joined == [[7, None], [7, None], [7], [7], [7], [None]]
    assert [[item.track for item in own] for own in extend_tracks([[box(0)], [], [box(10, 7)], [box(15, 7)]])] == [
        [None], [], [7], [7],
    ]  # fmt: skip


def test_a_single_box_that_is_far_from_where_a_track_came_from_stays_single():
    def box(x, track=None):
        return PageObject((x, 10.0, 2.0, 2.0), 0.9, track)

    near, far = (extend_tracks([[box(5 + away)], [box(10, 7)], [box(15, 7)]])[0][0].track for away in (4.0, 4.1))
    assert (near, far) == (7, None)


def sequence_called(name):
    return PageSequence(name, f"/footage/somebody/{name}", (64, 48), 25.0, (name,), [0], [name], [[]])


class Tags(HTMLParser):
    """Collects tags and what they fetch, outside of scripts."""

    def __init__(self):
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for key, value in attributes if key in ("src", "href", "action", "data")]


def test_names_are_shown_letter_by_letter(tmp_path):
    write_page(tmp_path / "v.html", [sequence_called(NASTY)], [[""]], NASTY, NASTY)
    text = (tmp_path / "v.html").read_text()
    reader = Tags()
    reader.feed(text)
    assert "b" not in reader.tags and "somebody" not in text
    assert json.loads(blocks(text)["data-0"])["name"] == NASTY
    assert set(reader.fetched) == {"data:,"} and "default-src 'none'" in text


def test_only_a_page_gives_way_to_a_page(tmp_path):
    path = tmp_path / "v.html"
    write_page(path, [sequence_called("a")], [[""]], "first", "")
    write_page(path, [sequence_called("a")], [[""]], "second", "")
    assert "second" in path.read_text()
    path.write_text("mine")
    with pytest.raises(UserError, match="has not made"):
        write_page(path, [sequence_called("a")], [[""]], "third", "")
    assert path.read_text() == "mine"


def test_a_broken_frame_leaves_the_page_as_it_was(tmp_path):
    def pictures():
        yield "aaaa"
        raise UserError("a broken frame")

    path = tmp_path / "v.html"
    write_page(path, [sequence_called("a")], [[""]], "first", "")
    with pytest.raises(UserError, match="a broken frame"):
        write_page(path, [sequence_called("a")], [pictures()], "second", "")
    assert "first" in path.read_text() and [one.name for one in tmp_path.iterdir()] == ["v.html"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"frames": [{}], "size": [1, 1]}'])
def test_other_files_called_like_the_results_are_refused(tmp_path, content):
    (tmp_path / "predictions.json").write_text(content)
    (tmp_path / "coco.json").write_text('{"annotations": [], "categories": []}')
    with pytest.raises(UserError, match="expected what vid_predict.py writes"):
        read_folder(tmp_path)


def test_a_folder_without_results_is_named(tmp_path):
    with pytest.raises(UserError, match="found no predictions.json"):
        read_folder(tmp_path)


def test_frames_that_moved_are_asked_for(results, tmp_path):
    sequence = PageSequence("s", str(tmp_path / "gone"), (64, 48), 25.0, ("target",), [0], ["0"], [[]])
    with pytest.raises(UserError, match="--source"):
        find_source(results.folder, sequence)
    assert find_source(results.folder, read_folder(results.folder)).name == results.source.name


SLIDE = """(value => {
    const slider = document.getElementById("sensitivity");
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
})"""
PLACE = """(([x, y]) => {  // of a pixel of the frame, in the window
    const box = page.stage.canvas.getBoundingClientRect(), view = page.stage.view();
    const ratio = page.stage.canvas.width / box.width;
    return [box.left + (view.left + x * view.scale) / ratio, box.top + (view.top + y * view.scale) / ratio];
})"""
OUTLINE = "(style => `${style.outlineStyle} ${style.outlineWidth}`)"
needs_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed (CHROMIUM names one)")


@pytest.fixture
def browser(results, tmp_path):
    with Browser(find_browser(), downloads=tmp_path) as own:
        own.open(results.page.as_uri())
        own.wait("typeof page === 'object' && page.stage.picture !== null")
        yield own
        assert own.errors == []


def saved(browser, folder):
    """The labels that the page downloads."""
    browser.run("document.getElementById('save').click()")
    path = folder / "labels.json"
    browser.wait("document.getElementById('status').textContent.includes('downloaded')")
    for _ in range(200):
        if path.exists() and path.stat().st_size:  # an empty one holds the place at first
            break
        browser.run("new Promise(done => setTimeout(done, 50))")
    found = json.loads(path.read_text())
    path.unlink()
    return found


def states(labels):
    return [box["state"] for frame in labels["frames"] for box in frame["boxes"]]


@needs_browser
def test_the_slider_filters_by_score_and_by_track(browser):
    shown = "page.sequence.summary().objects"
    every = browser.run(shown)
    counts = []
    for value in (100, 75, 50, 25, 0):
        browser.run(f"{SLIDE}({value})")
        counts.append(browser.run(shown))
        least = browser.run("page.least")
        own = browser.run(
            "page.sequence.byTrack.flatMap(own => { const sure = own.filter(at => page.sequence.score[at] > "
            f"{least['score']}); return sure.length >= {least['frames']} ? sure : []; }}).length"
        )
        assert counts[-1] == own
    assert counts[0] == every and counts == sorted(counts, reverse=True) and counts[-1] < every


@needs_browser
def test_a_track_is_rejected_a_box_added_and_both_are_saved(browser, tmp_path):
    browser.run("page.toTrack(page.sequence.labels.indexOf(2)), 1")
    rejected = browser.run("page.sequence.byTrack[page.track()].length")
    assert rejected >= FRAMES // 2 - 1
    browser.key("x")
    browser.run("page.select(null), page.go(2)")
    browser.key("d")
    browser.drag(*(browser.run(f"{PLACE}([{x}, {y}])") for x, y in ((40, 20), (50, 28))))
    labels = saved(browser, tmp_path)
    assert states(labels).count("rejected") == rejected and states(labels).count("added") == 1
    (added,) = [box for box in labels["frames"][2]["boxes"] if box["state"] == "added"]
    assert added["box"] == pytest.approx([40, 20, 10, 8], abs=0.2) and added["class"] == "target"
    assert added["track"] not in (1, 2)
    browser.key("u")
    browser.key("z", 2)
    assert set(states(saved(browser, tmp_path))) == {"unreviewed"}


@needs_browser
def test_labels_that_were_saved_are_taken_up_again(browser, tmp_path):
    browser.run("page.toTrack(page.sequence.labels.indexOf(1)), 1")
    browser.key("y")
    browser.run("page.toTrack(page.sequence.labels.indexOf(1)), 1")
    browser.key("ArrowRight", 8)
    browser.run("page.addBox([30, 40, 5, 5])")
    browser.run("document.getElementById('complete').click()")
    before = saved(browser, tmp_path)
    assert {"accepted", "moved", "added"} <= set(states(before)) and before["complete"]
    browser.run("location.reload()")
    browser.wait("typeof page === 'object' && page.stage.picture !== null && page.sequence.changes === 0")
    browser.run(f"page.take({json.dumps(before)}, 'opened')")
    after = saved(browser, tmp_path)
    assert after == before


@needs_browser
def test_it_is_worked_by_keys_alone_and_every_control_has_a_name(browser):
    browser.run("document.activeElement.blur()")
    seen, outlines = [], []
    for _ in range(60):
        browser.key("Tab")
        seen.append(browser.run("document.activeElement.id"))
        outlines.append(browser.run(f"{OUTLINE}(getComputedStyle(document.activeElement))"))
        if browser.run("document.activeElement === document.body"):
            break
    controls = browser.run(
        "[...document.querySelectorAll('button, input, select, canvas[tabindex]')].filter(one => one.checkVisibility() "
        "&& !one.disabled && (one.type !== 'radio' || one.checked)).map(one => one.id)"
    )
    assert set(controls) <= set(seen)
    assert set(outlines[:5]) == {"solid 3px"}
    nameless = browser.run(
        "[...document.querySelectorAll('button, input, select, canvas')].filter(one => !(one.ariaLabel || "
        "one.textContent.trim() || one.labels?.length || one.getAttribute('aria-labelledby'))).map(one => one.id)"
    )
    assert nameless == []


@needs_browser
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window(results, width):
    with Browser(find_browser(), (width, 800)) as own:
        own.open(results.page.as_uri())
        assert own.run("document.documentElement.scrollWidth") <= width


@needs_browser
def test_levels_are_of_the_canvas_also_in_a_page_opened_as_a_file(browser):
    value = "page.stage.levelled.getContext('2d').getImageData(3, 3, 1, 1).data[0]"
    before = browser.run(value)
    browser.key("i")
    assert browser.run(value) == 255 - before


@needs_browser
def test_labels_are_saved_through_the_server(results):
    import threading

    from utils.view.server import FolderServer

    with FolderServer(results.folder) as server, Browser(find_browser()) as own:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            own.open(server.address)
            own.wait("typeof page === 'object' && page.token !== null")
            own.run("page.decideAll(true)")
            own.run("page.save()")
            assert own.errors == []
        finally:
            server.shutdown()
            thread.join()
    path = results.folder / "labels.json"
    assert set(states(json.loads(path.read_text()))) == {"accepted"}
    path.unlink()

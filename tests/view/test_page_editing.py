"""What a person does on the page: drawing, moving, deciding, opening and saving, of sequences whose boxes are known."""

import json
import threading

import numpy as np
import pytest
from test_page import PLACE, needs_browser

from benchmarks.browser import Browser, find_browser
from utils.view.contents import PageObject, PageSequence
from utils.view.page import write_page
from utils.view.pictures import encode_picture
from utils.view.server import FolderServer

FRAMES, SIZE = 10, (64, 48)
ADDED = (
    "[...Array(page.sequence.x.length).keys()].filter(at => page.sequence.added[at] && page.sequence.state[at] !== 3)"
)
STATUS = "document.getElementById('status').textContent"
LEAVING = """(event => { window.dispatchEvent(event); return event.defaultPrevented; })(
    new Event("beforeunload", { cancelable: true }))"""
SWITCH = """(id => {
    document.getElementById("sequence").value = id;
    document.getElementById("sequence").dispatchEvent(new Event("change"));
})"""


def sequence_called(name):
    """A track 1 through frames 0 to 4 of score 0.9, and one single box of score 0.6 in frame 6."""
    objects = [[] for _ in range(FRAMES)]
    for number in range(5):
        objects[number].append(PageObject((5.0 + number, 10.0, 6.0, 6.0), 0.9, 1))
    objects[6].append(PageObject((50.0, 30.0, 4.0, 4.0), 0.6))
    return PageSequence(name, name, SIZE, 25.0, ("target",), list(range(FRAMES)), [], objects)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    picture = encode_picture(np.full(SIZE[::-1], 90, np.uint8), (0, 255))
    path = tmp_path_factory.mktemp("page") / "v.html"
    names = ("first", "second")
    write_page(path, [sequence_called(name) for name in names], [[picture] * FRAMES for _ in names], "two", "")
    return path.as_uri()


@pytest.fixture(scope="module")
def window(tmp_path_factory, address):
    with Browser(find_browser(), downloads=tmp_path_factory.mktemp("downloads")) as own:
        own.open(address)
        own.wait("typeof page === 'object' && page.stage.picture !== null")
        yield own


@pytest.fixture
def browser(window):
    window.run("page.sequences.clear(), page.perTrack = true, page.stage.adding = false")
    window.run(f"{SWITCH}('data-0')")
    yield window
    assert window.errors == []


def draw(browser, start, end):
    browser.drag(*(browser.run(f"{PLACE}([{x}, {y}])") for x, y in (start, end)))


def added(browser):
    """Of every added box its frame, its track's number and its sides."""
    of_one = "[page.sequence.frame[at], page.sequence.labels[page.sequence.track[at]], page.sequence.box(at)]"
    return browser.run(f"{ADDED}.map(at => {of_one})")


@needs_browser
def test_two_boxes_drawn_in_one_frame_are_two_targets(browser):
    browser.key("d")
    draw(browser, (10, 30), (16, 36))
    draw(browser, (40, 5), (48, 11))
    found = added(browser)
    assert [frame for frame, _, _ in found] == [0, 0] and found[0][1] != found[1][1]
    assert found[0][2] == pytest.approx([10, 30, 6, 6], abs=0.3)
    assert found[1][2] == pytest.approx([40, 5, 8, 6], abs=0.3)


@needs_browser
def test_boxes_are_joined_and_filled_only_where_that_is_asked_for(browser):
    browser.run("page.addBox([10, 30, 4, 4])")
    browser.run("page.step(3), page.addBox([40, 5, 4, 4])")
    assert [(frame, label) for frame, label, _ in added(browser)] == [(0, 2), (3, 3)]
    browser.key("j")
    browser.run("page.step(2), page.addBox([44, 7, 8, 4])")
    own = {frame: box for frame, label, box in added(browser) if label == 3}
    assert own == {3: [40, 5, 4, 4], 4: [42, 6, 6, 4], 5: [44, 7, 8, 4]}
    browser.run("page.addBox([20, 20, 4, 4])")  # in the frame that the track has a box in
    assert [(frame, box) for frame, label, box in added(browser) if label == 4] == [(5, [20, 20, 4, 4])]
    assert browser.run("document.getElementById('join').checked") is False
    assert "track 4, as track 3 has one in this frame" in browser.run(STATUS)


@needs_browser
def test_choosing_another_box_ends_the_joining(browser):
    browser.run("page.addBox([10, 30, 4, 4])")
    browser.key("j")
    browser.run("page.select(0)")
    assert browser.run("document.getElementById('join').disabled")
    browser.key("j")
    assert "choose a box that was added" in browser.run(STATUS)
    browser.run("page.step(2), page.addBox([12, 30, 4, 4])")
    assert [label for _, label, _ in added(browser)] == [2, 3]


@needs_browser
def test_every_sequence_knows_by_itself_whether_it_is_saved(browser):
    assert not browser.run(LEAVING)
    browser.run("page.select(0), page.decide(1)")
    browser.run(f"{SWITCH}('data-1')")
    assert browser.run(LEAVING) and "not saved yet: first" in browser.run(STATUS)
    browser.run("page.select(0), page.decide(1), page.save()")
    assert browser.run(LEAVING)
    assert browser.run(STATUS) == "labels.json of second downloaded; not saved yet: first"
    assert "second" in browser.run("document.getElementById('save-note').textContent")
    browser.run(f"{SWITCH}('data-0')")
    browser.run("page.save()")
    assert not browser.run(LEAVING) and browser.run(STATUS) == "labels.json of first downloaded"


@needs_browser
def test_opening_labels_saves_nothing_that_was_decided_before(browser):
    labels = json.dumps(browser.run("page.sequence.toLabels()"))
    browser.run("page.select(0), page.decide(1)")
    browser.run(f"page.take({labels}, 'opened')")
    assert browser.run(LEAVING)
    browser.run("page.sequences.delete('data-0'), page.open('data-0')")
    browser.run(f"page.take({labels}, 'opened')")
    assert not browser.run(LEAVING)


@needs_browser
def test_labels_that_are_opened_twice_are_there_once(browser):
    browser.run("page.addBox([10, 30, 4, 4])")
    browser.key("j")
    browser.run("page.step(2), page.addBox([14, 30, 4, 4])")
    browser.run("page.addBox([40, 5, 4, 4])")
    before, labels = added(browser), json.dumps(browser.run("page.sequence.toLabels()"))
    browser.run(f"page.take({labels}, 'opened')")
    assert added(browser) == before
    browser.run(f"page.sequence.move({ADDED}[1], [30, 20, 4, 4])")
    browser.run(f"page.take({labels}, 'opened')")  # what is opened tells where the box is, as of those that were found
    assert added(browser) == before
    browser.run("page.sequences.delete('data-0'), page.open('data-0')")
    browser.run(f"page.take({labels}, 'opened'), page.take({labels}, 'opened')")
    assert sorted(added(browser)) == sorted(before)


@needs_browser
def test_what_is_drawn_over_the_border_is_cut_and_what_is_moved_there_is_not(browser):
    browser.run("page.addBox([60, -3, 10, 8])")
    assert added(browser)[0][2] == [60, 0, 4, 5]
    browser.run("page.addBox([64, 10, 5, 5])")
    assert len(added(browser)) == 1 and "outside" in browser.run(STATUS)
    browser.run("page.sequence.move(0, [62, 45, 6, 6])")
    assert browser.run("page.sequence.box(0)") == [58, 42, 6, 6]
    browser.run("page.select(0)")
    browser.key("ArrowRight", 8 | 2)
    assert browser.run("page.sequence.box(0)") == [58, 42, 6, 6]
    browser.run("page.select(null), page.go(9)")
    browser.key("d")
    draw(browser, (6, 26), (-4, 20))
    assert added(browser)[-1][2] == pytest.approx([0, 20, 6, 6], abs=0.3)


@needs_browser
def test_a_corner_pulled_over_the_border_leaves_the_other_one_where_it_is(browser):
    browser.run("page.stage.zoomBy(4, [0, 0]), page.stage.centre = [8, 13], page.stage.draw(), page.select(0)")
    draw(browser, (5, 10), (-3, 8))
    assert browser.run("page.sequence.box(0)") == pytest.approx([0, 8, 11, 8], abs=0.3)


@needs_browser
def test_one_box_is_decided_only_while_it_is_shown(browser):
    browser.run("page.perTrack = false, page.select(0), page.stage.frame = 5, page.go(5)")
    states = "page.sequence.state.filter(Boolean).length"
    for key in ("y", "x", "r"):
        browser.key(key)
        assert browser.run(states) == 0 and "choose a box of this frame" in browser.run(STATUS)
    browser.run("page.go(0), page.setLeast(0.95, 1)")
    for script in ("page.decide(1)", "page.nudge(1, 0, false)", "page.perTrack = true, page.decide(1)"):
        browser.run(script)
        assert browser.run(states) == 0
    browser.run("page.setLeast(0.5, 1), page.decide(1)")
    assert browser.run(states) == 5


@needs_browser
def test_what_is_stopped_while_a_picture_is_awaited_plays_again(browser):
    browser.run("""(async () => {
        const own = page.go.bind(page);
        let free;
        page.go = frame => { own(frame); return new Promise(done => { free = done; }); };
        page.play(); page.stop();
        page.go = own;
        free();
        await new Promise(done => setTimeout(done, 20));
    })()""")
    assert browser.run("page.timer") == 0
    browser.run("page.play()")
    assert browser.run("document.getElementById('play').textContent") == "Stop"
    browser.run("page.stop()")


@needs_browser
def test_saved_labels_that_cannot_be_opened_are_told_and_stay(tmp_path):
    write_page(tmp_path / "view.html", [sequence_called("first")], [[""] * FRAMES], "one", "")
    (tmp_path / "labels.json").write_text('{"made_by": "python -m utils.view", ')
    with FolderServer(tmp_path) as server, Browser(find_browser()) as own:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            own.open(server.address)
            own.wait("typeof page === 'object' && page.token !== null")
            assert "NOT opened" in own.run(STATUS)
            own.run("page.decideAll(true), page.save()")
            assert "NOT saved" in own.run(STATUS) and own.run(LEAVING)
            assert "nothing is saved over it" in own.run("document.getElementById('save-note').textContent")
        finally:
            server.shutdown()
            thread.join()
    assert (tmp_path / "labels.json").read_text() == '{"made_by": "python -m utils.view", '

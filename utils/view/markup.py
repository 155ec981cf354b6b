"""The page's fixed parts as HTML: the stage, the tools and the list of keys."""

from __future__ import annotations

STAGE = """
<div class="picture"><canvas id="stage" tabindex="0" role="img" aria-label="the frame with what was found in it; \
n and p go from track to track, the arrows from frame to frame" aria-describedby="chosen"></canvas></div>
<div class="line"><canvas id="timeline" role="img" aria-label="time line of the tracks; the keys n and p go along it">\
</canvas></div>
<div class="bar">
<button id="play" aria-pressed="false">Play</button>
<button id="back" aria-label="one frame back">‹</button>
<button id="on" aria-label="one frame on">›</button>
<input id="position" type="range" min="0" value="0" aria-label="frame">
<span id="where"></span>
</div>
<div class="bar">
<button id="previous">‹ Track</button>
<button id="next">Track ›</button>
<button id="mistake" class="only-truth">Next mistake</button>
<label>Speed <select id="speed"><option>0.25</option><option>0.5</option><option selected>1</option><option>2</option>\
<option>4</option></select></label>
<button id="farther" aria-label="zoom out">−</button><span id="zoom">100 %</span>
<button id="closer" aria-label="zoom in">+</button>
<button id="fit">Whole frame</button>
<button id="follow" aria-pressed="false">Follow target</button>
</div>
<p id="status" role="status" aria-live="polite"></p>
<p id="announcement" role="status" aria-live="polite"></p>
"""

LEGEND = """
<ul class="legend" aria-label="colours">
<li class="no-truth"><span class="key open"></span>found</li>
<li class="only-truth"><span class="key hit"></span>hit</li>
<li class="only-truth"><span class="key wrong"></span>false alarm</li>
<li class="only-truth"><span class="key missed"></span>missed target</li>
<li class="only-truth"><span class="key truth"></span>true target</li>
<li><span class="key accepted"></span>accepted</li>
<li><span class="key rejected"></span>rejected (struck out)</li>
<li><span class="key added"></span>added</li>
</ul>
"""

TOOLS = """
<section class="panel" aria-labelledby="sensitivity-head"><h2 id="sensitivity-head">Sensitivity</h2>
<input id="sensitivity" type="range" min="0" max="100" step="1" value="100" aria-labelledby="sensitivity-head">
<p id="counts"></p><p id="expected"></p>
<div class="bar"><label>score &gt; <input id="least-score" type="number" min="0" max="1" step="0.01" value="0"></label>
<label>frames ≥ <input id="least-frames" type="number" min="1" step="1" value="1"></label></div>
<p class="hint">To the left only what is sure stays: a higher score, and more frames of it in one track.</p>
</section>
<section class="panel" aria-labelledby="review-head"><h2 id="review-head">Decide</h2>
<div class="with-closeup"><canvas id="closeup" role="img" aria-label="the chosen target, enlarged"></canvas>
<p id="chosen"></p></div>
<div class="bar" role="radiogroup" aria-label="what a decision is for">
<label><input type="radio" name="scope" id="scope-track" checked> whole track</label>
<label><input type="radio" name="scope" id="scope-box"> this box</label></div>
<div class="bar"><button id="accept" class="good">Accept</button><button id="reject" class="bad">Reject</button>
<button id="reset">Reset</button><button id="undo">Undo</button></div>
<label><input id="advance" type="checkbox" checked> then go to the next undecided track</label>
<div class="bar"><button id="adding" aria-pressed="false">Add a box</button>
<label id="class-field">of class <select id="class"></select></label></div>
<label><input id="join" type="checkbox"> the next boxes belong to <span id="join-track"></span></label>
<label><input id="fill" type="checkbox" checked> fill the frames between them</label>
<div class="bar"><button id="accept-shown">Accept all shown</button>\
<button id="reject-hidden">Reject all hidden</button></div><p id="decided" class="hint"></p>
</section>
<section class="panel" aria-labelledby="save-head"><h2 id="save-head">Labels</h2>
<label><input id="complete" type="checkbox"> every frame was looked at: where no box stands there is no target</label>
<div class="bar"><button id="save" class="main">Download labels.json</button>
<span class="file"><label for="file">Open labels.json</label><input id="file" type="file" accept=".json"></span></div>
<p class="hint" id="save-note">To save into the folder, open this page with python -m utils.view FOLDER.</p>
</section>
<section class="panel" id="problem-panel" aria-labelledby="problem-head" hidden><h2 id="problem-head">Problems of the \
dataset</h2><ul id="problems"></ul></section>
"""

PICTURE = """
<section class="panel" aria-labelledby="look-head"><h2 id="look-head">Picture</h2>
<div class="grid"><label for="low">black at</label><input id="low" type="range" min="0" max="254" value="0">
<label for="high">white at</label><input id="high" type="range" min="1" max="255" value="255"></div>
<div class="bar"><button id="auto">Fit to frame</button><button id="plain">Plain</button>
<label><input id="inverted" type="checkbox"> black-hot</label></div>
<div class="bar"><label><input id="outlines" type="checkbox" checked> outlines of masks</label>
<label><input id="tails" type="checkbox" checked> ways of tracks</label></div>
</section>
"""

KEYS = (
    (("Space",), "play, stop"),
    (("←", "→"), "a frame back, on; with Page Up, Page Down ten"),
    (("Home", "End"), "first, last frame"),
    (("n", "p"), "next, previous track"),
    (("o",), "next box of this frame"),
    (("m",), "next frame with a mistake, where the truth is known"),
    (("y", "x", "r"), "accept, reject, reset what is chosen"),
    (("b",), "decide for whole tracks or for single boxes"),
    (("a",), "add a box where the chosen one is, or in the middle"),
    (("d",), "draw boxes with the pointer"),
    (("j",), "the next boxes belong to the chosen track that was added, or no longer"),
    (("Shift + arrows",), "move the chosen box by a pixel"),
    (("Ctrl + Shift + arrows",), "make it larger or smaller"),
    (("u", "Ctrl + z"), "undo"),
    (("s", "Ctrl + s"), "save labels.json"),
    (("[", "]"), "less, more sensitive"),
    (("z",), "follow the chosen target, enlarged"),
    (("+", "-", "0"), "zoom in, out, whole frame"),
    (("i", "c"), "black-hot or white-hot; levels that fit the frame"),
    (("Esc",), "choose nothing, end drawing"),
    (("?",), "this list"),
)

HELP = (
    '<details class="panel" id="help"><summary>Keys</summary><dl class="keys">'
    + "".join(f"<dt>{' '.join(f'<kbd>{key}</kbd>' for key in keys)}</dt><dd>{text}</dd>" for keys, text in KEYS)
    + "</dl></details>"
)

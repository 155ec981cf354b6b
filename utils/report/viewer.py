"""The part of the page that shows frames: a viewer for browsers with scripts, some frames for those without."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from utils.render.page_parts import EncodedComponent, json_block
from utils.report.charts import classes
from utils.report.frames import ShownFrame, path_of
from utils.report.results import Measurement, MethodResult

MAX_STILLS = 6  # frames for browsers without scripts
KIND_CLASSES = ("false", "hit", "truth")  # of the style sheet, by the number of a component's kind
Frames = dict[str, list[ShownFrame]]  # by sequence


def section(methods: Sequence[MethodResult], frames: Frames, about: Measurement) -> str:
    """Controls and panels, and the stills."""
    if not frames:
        return ""
    options = "".join(f'<option value="frames-{index}">{escape(name)}</option>' for index, name in enumerate(frames))
    toggles = "".join(
        f'<label><input type="checkbox" checked data-toggles="{index}"> {escape(method.name)}</label>'
        for index, method in enumerate(methods)
    )
    panels = [f'<div class="panel"><h3>truth<span></span></h3>{_stage()}</div>']
    panels += [
        f'<div class="panel {classes(index)}" data-method="{index}"><h3>{escape(method.name)}<span></span>'
        f"</h3>{_stage()}</div>"
        for index, method in enumerate(methods)
    ]
    keys = "".join(
        f'<li><span class="key {kind}"></span>{text}</li>'
        for kind, text in (("truth", "true target"), ("hit", "found"), ("false", "false alarm"), ("missed", "missed"))
    )
    count = f"All {about.frames} frames"
    if about.shown < about.frames:
        count = f"{about.shown} of {about.frames} frames, a stretch of every sequence (--frames)"
    return (
        f'<h2>Frames</h2><p class="soft">{count}.</p><ul class="legend">{keys}</ul><div id="viewer">'
        f'<div class="controls"><select data-is="sequence" aria-label="sequence">{options}</select>'
        '<button data-is="back" aria-label="one frame back">‹</button>'
        '<button data-is="play">Play</button><button data-is="on" aria-label="one frame on">›</button>'
        '<input data-is="slider" type="range" min="0" value="0" aria-label="frame"><span data-is="where"></span>'
        '<button data-is="next">Next frame with a mistake</button></div>'
        f'<div class="controls"><label><input type="checkbox" data-is="marks" checked> pixels</label>{toggles}'
        "</div>"
        f'<div class="panels">{"".join(panels)}</div></div>'
        f"<noscript>{stills(methods, frames)}</noscript>"
    )


def _stage() -> str:
    return '<div class="stage"><img alt="the frame"><svg></svg></div>'


def data(frames: Frames) -> str:
    """The frames of every sequence as a block of JSON of its own, which is read when it is asked for."""
    blocks = [
        json_block(f"frames-{index}", [frame.as_dict() for frame in part]) for index, part in enumerate(frames.values())
    ]
    return "".join(blocks) + "\n"


def stills(methods: Sequence[MethodResult], frames: Frames) -> str:
    """Frames with every method's result, drawn without scripts.

    They are those in which most targets are missed by some method and found by another, of different sequences first.
    """

    def interest(frame: ShownFrame) -> tuple[int, int]:
        missed = [set(found.missed) for found in frame.found]
        return len(set().union(*missed) - set.intersection(*missed)), len(frame.targets)

    ranked = []
    for name, part in frames.items():
        step = -(-len(part) // MAX_STILLS)  # neighbours in time look alike: one of each part of the sequence
        tops = [max(part[start : start + step], key=interest) for start in range(0, len(part), step)]
        ranked += [(rank, name, frame) for rank, frame in enumerate(sorted(tops, key=interest, reverse=True))]
    ranked.sort(key=lambda item: (item[0], *(-value for value in interest(item[2]))))
    result = [
        "<p class=soft>Scripts are off, so these are some of the frames; with scripts on they can all be "
        "scrolled through.</p>"
    ]
    for number, (_, name, frame) in enumerate(ranked[:MAX_STILLS]):
        picture, gap = frame.picture, max(2, frame.picture.width / 90)
        truth = "".join(_mark(part, "truth", gap) for part in frame.targets)
        image = (
            f'<image id="still-{number}" width="{picture.width}" height="{picture.height}" href="{picture.uri}" '
            'preserveAspectRatio="none"/>'
        )
        panels = [_still("truth", "", frame, image + truth)]
        for index, method in enumerate(methods):
            found = frame.found[index]
            marks = "".join(_mark(frame.targets[target], "missed", 2 * gap, filled=False) for target in found.missed)
            marks += "".join(_mark(part, KIND_CLASSES[part.kind], gap) for part in found.components)
            panels.append(_still(method.name, classes(index), frame, f'<use href="#still-{number}"/>{marks}'))
        result.append(
            f'<h3>{escape(name)}, frame {escape(str(frame.name))}</h3><div class="panels">{"".join(panels)}</div>'
        )
    return "".join(result)


def _still(name: str, kind: str, frame: ShownFrame, content: str) -> str:
    return (
        f'<div class="panel {kind}"><h3>{escape(name)}</h3>'
        f'<svg viewBox="0 0 {frame.picture.width} {frame.picture.height}">{content}</svg></div>'
    )


def _mark(part: EncodedComponent, kind: str, gap: float, filled: bool = True) -> str:
    x, y, w, h = part.x, part.y, part.w, part.h
    pixels = f'<path class="pixels {kind}" d="{path_of(part)}"/>' if filled else ""
    return (
        f'{pixels}<rect class="mark {kind}" x="{x - gap:.1f}" y="{y - gap:.1f}" width="{w + 2 * gap:.1f}" '
        f'height="{h + 2 * gap:.1f}"/>'
    )

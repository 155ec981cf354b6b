"""Boxes held against the borders of their images: what does not fit is collected, and told all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from utils.images.boxes import OUTSIDE_TOLERANCE, box_problem, size_problem
from utils.system.command_line import Parser
from utils.system.errors import UserError

MAX_TOLD = 30  # places that one message names
CUT_ADVICE = "or give --cut, which cuts boxes at the border and leaves out those wholly outside"


def add_cut_option(parser: Parser) -> None:
    """The option `--cut` of the converters."""
    parser.add_argument(
        "--cut",
        action="store_true",
        help="cut boxes at their image's border and leave out those wholly outside, and say how many (default: stop "
        "and list all of them)",
    )


class Borders:
    """Holds boxes against the borders of their images.

    Args:
        cut: cut what reaches over a border; else that is a problem, and `require` lists all.
        exact: a box that reaches over by no more than a pixel, as rounding does, stays as it is; else it is cut too.
        centred: boxes were put around centroids, so that only those whose centre is outside are a problem.
        cut_advice: how they can be cut, for errors.
    """

    def __init__(
        self, cut: bool = False, exact: bool = False, centred: bool = False, cut_advice: str = CUT_ADVICE
    ) -> None:
        self.cut, self.exact, self.centred, self.cut_advice = cut, exact, centred, cut_advice
        self.cut_boxes, self.left_out = 0, 0
        self.problems: dict[str, list[str]] = {}
        self.wrong_sizes: list[str] = []

    def look_at_size(self, place: str, declared: tuple[int, int] | None, size: tuple[int, int]) -> None:
        """Compare the (height, width) that labels declare for an image with its own; None declares nothing."""
        problem = size_problem(declared, size)
        if problem:
            self.wrong_sizes.append(f"{place}: {problem}")

    def fit(self, place: str, box: Sequence[Any], size: tuple[float, float]) -> tuple[Any, ...] | None:
        """A box as it is taken.

        Args:
            place: its image, or where it is listed, for people.
            box: x1, y1, x2, y2 in pixels, numbers of any kind, and whatever else.
            size: (height, width) of its image.

        Returns:
            The same, corners inside the image; None where it is left out, or is a problem.
        """
        corners, limits = box[:4], (size[1], size[0], size[1], size[0])
        inside = [
            type(value)(0) if value < 0 else type(value)(limit) if value > limit else value
            for value, limit in zip(corners, limits, strict=True)
        ]
        over = max(abs(float(a) - float(b)) for a, b in zip(inside, corners, strict=True))
        outside = inside[2] <= inside[0] or inside[3] <= inside[1]
        if not (corners[2] > corners[0] and corners[3] > corners[1]) or (
            not self._may_cut(corners, limits) and (outside or over > OUTSIDE_TOLERANCE)
        ):
            x1, y1, x2, y2 = map(float, corners)
            text = f"box {x1:g},{y1:g},{x2:g},{y2:g} (x1,y1,x2,y2) outside the image of {size[1]}x{size[0]} (w x h)"
            self.problems.setdefault(place, []).append(box_problem((x1, y1, x2, y2), size) or text)
            return None
        if outside:
            self.left_out += 1
            return None
        self.cut_boxes += over > OUTSIDE_TOLERANCE
        return tuple(box) if self.exact and over <= OUTSIDE_TOLERANCE else (*inside, *box[4:])

    def _may_cut(self, corners: Sequence[Any], limits: Sequence[float]) -> bool:
        if self.cut or not self.centred:
            return self.cut
        x, y = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
        return 0 <= x <= limits[0] and 0 <= y <= limits[1]

    def require(self, advice: str) -> None:
        """Stop where there were problems.

        Args:
            advice: what else than `--cut` can be done.

        Raises:
            UserError: the text lists all of them.
        """
        if self.wrong_sizes:
            listed = list_places(self.wrong_sizes, "images of another size than their labels declare")
            raise UserError(
                f"{listed}, so that boxes would lie at wrong places; correct the size in the labels, or give the "
                "images that were labelled"
            )
        if not self.problems:
            return
        lines = [f"{place}: {', '.join(found)}" for place, found in self.problems.items()]
        if any("outside" in problem for found in self.problems.values() for problem in found):
            advice += f", {self.cut_advice}"
        raise UserError(f"{list_places(lines, 'places with boxes that do not fit their image')}; {advice}")

    def said(self) -> list[str]:
        """Lines that say what was cut and what was left out."""
        lines = [f"cut at their image's border: {self.cut_boxes} boxes"] if self.cut_boxes else []
        return lines + ([f"left out, wholly outside of their image: {self.left_out} boxes"] if self.left_out else [])


def list_places(lines: Sequence[str], what: str) -> str:
    """Several findings in one line: all of them, or the first `MAX_TOLD` and how many more there are."""
    if len(lines) == 1:
        return lines[0]
    more = f"; and {len(lines) - MAX_TOLD} more" if len(lines) > MAX_TOLD else ""
    return f"found {len(lines)} {what}: {'; '.join(lines[:MAX_TOLD])}{more}"

"""What the stages have written, as one JSON file and one page of tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu.rows import read_rows
from benchmarks.gpu.stages import WAITING, Stage, read_outcome
from utils.system.files import whole_file, write_json
from utils.system.tables import UNDEFINED, escape_markdown, format_value, markdown_rows

JSON_FILE, PAGE_FILE = "gpu.json", "gpu.md"
RATE_COLUMNS = {
    "work": "network",
    "way": "way",
    "variant": "at once",
    "precision": "precision",
    "ms": "ms",
    "fps": "frames/s",
    "times": "times the literal",
    "deviation": "deviation",
    "start_s": "first, s",
}
TRAINING_COLUMNS = {
    "precision": "precision",
    "steps": "steps",
    "ms": "ms a step",
    "first_loss": "first loss",
    "last_loss": "last loss",
    "iou": "IoU",
    "pd": "Pd",
    "false_per_frame": "false/frame",
}


def gather(about: dict[str, Any], stages: Sequence[Stage], folder: Path) -> dict[str, Any]:
    """`about` with how every stage ended, and its rows."""
    found = {}
    for stage in stages:
        rows = read_rows(folder / f"{stage.name}.jsonl")
        found[stage.name] = asdict(read_outcome(folder, stage.name)) | {"rows": add_times(rows)}
    return about | {"stages": found}


def add_times(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows; those with frames a second also with `times`, over those of the literal network.

    One frame or clip at once stands beside its one clip, several beside its batch.
    """
    literal = [row["fps"] for row in rows if row.get("way") == "literal" and "fps" in row]
    one, several = (literal[0], literal[-1]) if literal else (None, None)
    return [
        row | {"times": round(row["fps"] / (one if row["variant"] in ("stream", "a clip") else several), 2)}
        if "fps" in row and one
        else row
        for row in rows
    ]


def write_report(result: dict[str, Any], out: Path) -> None:
    """Write both files, whole."""
    write_json(out / JSON_FILE, result)
    with whole_file(out / PAGE_FILE) as file:
        file.write(page(result).encode())


def page(result: dict[str, Any]) -> str:
    """The page."""
    stages = result["stages"]
    rows = {name: stage["rows"] for name, stage in stages.items()}
    device, packages = result["device"], result["device"].get("packages", {})
    versions = f"PyTorch {packages.get('torch')}, CUDA {device.get('cuda') or UNDEFINED}"
    about = f"{device['name']}, {versions}, code {result['code']}"
    if result["commit"]:
        about += f" (commit {result['commit']})"
    rates = [row for name, found in rows.items() if name.startswith(("rates", "compiled")) for row in found]
    tests = [tests_text(name, found) for name, found in rows.items() if name.startswith("tests")]
    parts = [
        f"# {device['name']}\n\n{about}{', --quick: sizes mean nothing' if result['quick'] else ''}.",
        "## Stages\n\n" + _table(stage_rows(stages), {name: name for name in ("stage", "status", "seconds", "error")}),
        "## Tests\n\n" + "\n\n".join(tests),
        "## Frames a second\n\n" + _table(rates, RATE_COLUMNS),
        "## Training in mixed precision\n\n" + _table(rows.get("training", []), TRAINING_COLUMNS),
    ]
    return "\n\n".join(parts) + "\n"


def stage_rows(stages: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for every stage."""
    waiting = "run it again: it goes on here"
    return [
        {"stage": name}
        | {key: stage[key] for key in ("status", "seconds")}
        | {"error": waiting if stage["status"] == WAITING else stage["error"]}
        for name, stage in stages.items()
    ]


def tests_text(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """How many tests passed, and which did not."""
    counts = Counter("failed" if "error" in row else "left out" if "left_out" in row else "passed" for row in rows)
    told = [row for row in rows if "error" in row or "left_out" in row]
    text = f"{name}: {', '.join(f'{count} {status}' for status, count in sorted(counts.items())) or 'none yet'}."
    return text + ("\n\n" + _table(told, {"test": "test"}) if told else "")


def _table(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> str:
    """Rows below their titles, and a last column for what went wrong or was left out, where something was."""
    notes = any("error" in row or "left_out" in row for row in rows) and "error" not in columns
    lines = [[*columns.values(), *(["note"] if notes else [])]]
    for row in rows:
        note = [row.get("error") or row.get("left_out") or ""] if notes else []
        lines.append([_cell(value) for value in [*(row.get(key) for key in columns), *note]])
    return "\n".join(markdown_rows(lines)) if rows else "Nothing yet."


def _cell(value: Any) -> str:
    return escape_markdown(value) if isinstance(value, str) else format_value(value)

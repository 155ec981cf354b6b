"""The tests that need a GPU, a row each; with --device cpu they rehearse there what they can."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.gpu.rows import MAX_ERROR, RowFile, stage_parser
from utils.system.errors import user_errors

ROOT = Path(__file__).parents[2]
MARK = "from devices import"  # stands in the files that hold such tests; the others need not be imported


class RowPlugin:
    """Writes a row for every test that ends, and leaves out those that have passed before."""

    def __init__(self, rows: RowFile) -> None:
        self.rows = rows

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        items[:] = [item for item in items if not self.rows.has({"test": item.nodeid})]

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.rows.add({"test": report.nodeid, "error": _last(report)})

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.rows.add({"test": report.nodeid, "error": _last(report)})
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.rows.add({"test": report.nodeid, "left_out": reason.removeprefix("Skipped: ")[:MAX_ERROR]})
        elif report.when == "call":
            self.rows.add({"test": report.nodeid, "seconds": round(report.duration, 1)})


def _last(report: Any) -> str:
    """What a report says went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(str(crash.message if crash else report.longrepr).split())[:MAX_ERROR]


def main(argv: list[str] | None = None) -> None:
    """Run them."""
    options = stage_parser("cuda_tests", __doc__.splitlines()[0])
    options.add_argument("--compiled", action="store_true", help="those that compile, instead of the others")
    with user_errors():
        chosen = options.parse_args(argv)
        import pytest  # not everyone has it

        os.environ["TESTS_GPU"] = chosen.device  # read by tests/helpers/devices.py
        words = ["-q", "-p", "no:cacheprovider", "-m", "gpu", "-k", "compile" if chosen.compiled else "not compile"]
        files = [
            path for path in sorted((ROOT / "tests").rglob("test_*.py")) if MARK in path.read_text(encoding="utf-8")
        ]
        code = pytest.main([*words, *map(str, files)], plugins=[RowPlugin(RowFile(chosen.rows))])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(int(code))  # failed tests are rows


if __name__ == "__main__":
    main()

"""Every module of the project, and what it imports."""

import ast
from collections.abc import Iterator

from scripts import ROOT

SOURCES = [
    *sorted(path for folder in ("nets", "utils", "utils_coco", "benchmarks") for path in (ROOT / folder).rglob("*.py")),
    *sorted(ROOT.glob("*.py")),
]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}


def imports(module: str) -> Iterator[str]:
    """Modules of the project that a module imports anywhere, inside functions and for types too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import; write the full path"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in (inner if inner in MODULES else node.module,) if name in MODULES)


def reached_from(module: str) -> set[str]:
    """Modules of the project that are imported by a module, or by what it imports."""
    found, waiting = set(), [module]
    while waiting:
        new = set(imports(waiting.pop())) - found
        found |= new
        waiting += new
    return found

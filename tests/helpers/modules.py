"""Every module of the project, and what it imports."""

import ast
from functools import cache

from scripts import ROOT

SOURCES = [
    *sorted(path for folder in ("nets", "utils", "utils_coco", "benchmarks") for path in (ROOT / folder).rglob("*.py")),
    *sorted(ROOT.glob("*.py")),
]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}


@cache
def imports(module: str) -> tuple[str, ...]:
    """Modules of the project that a module imports anywhere, inside functions and for types too."""
    found = []
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in MODULES]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import; write the full path"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found += [name for name in (inner if inner in MODULES else node.module,) if name in MODULES]
    return tuple(found)


def reached_from(module: str) -> set[str]:
    """Modules of the project that are imported by a module, or by what it imports."""
    found, waiting = set(), [module]
    while waiting:
        new = set(imports(waiting.pop())) - found
        found |= new
        waiting += new
    return found

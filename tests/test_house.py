"""The house: rooms on floors, imports downward only, no circles, `nets` free of `utils`, short files and functions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from modules import MODULES, SOURCES, imports
from scripts import ROOT

FLOORS = {
    "system": 1,
    "images": 2,
    "video": 3,
    "datasets": 3,
    "synthetic": 4,
    "clips": 4,
    "predictor": 5,
    "metrics": 6,
    "render": 7,
    "training": 8,
    "report": 8,
    "view": 8,
    "commands": 9,
}
OPTION_FILES = [f"utils.commands.{name}" for name in ("options", "predictor_options", "track_options")]
COMMANDS = {"checks", "export", "log", "bundle", "summary", "verify"}  # the files that stand in utils/ itself
ABOVE_ALL = 10  # commands, `__main__.py` and scripts
CONVERTERS = 3.5  # utils_coco takes floors 1 to 3
LONGEST_FILE, LONGEST_FUNCTION = 350, 60


def floor(module: str) -> float | None:
    """The floor a module stands on; None for what knows no floors: `nets` and `benchmarks`."""
    top, *below = module.split(".")
    if top in ("nets", "benchmarks"):
        return None
    if top == "utils_coco":
        return CONVERTERS
    if top != "utils" or module.endswith(".__main__") or (below and below[0] in COMMANDS):
        return ABOVE_ALL
    if not below:
        return 0
    return FLOORS[below[0]]


def test_utils_holds_its_rooms_and_six_commands_and_nothing_else():
    found = {path.name for path in (ROOT / "utils").iterdir() if path.name != "__pycache__"}
    assert found == {*FLOORS, *(f"{name}.py" for name in COMMANDS), "__init__.py"}


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_holds_five_to_fourteen_files(room):
    files = [path for path in (ROOT / "utils" / room).glob("*.py") if path.stem not in ("__init__", "__main__")]
    assert 5 <= len(files) <= 14


def test_the_page_on_development_shows_the_floors():
    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    assert {room: int(floor) for floor, room in re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.M)} == FLOORS


def test_imports_go_downward_only():
    wrong = []
    for module in MODULES:
        own = floor(module)
        for other in imports(module):
            below = floor(other)
            same_room = module.split(".")[:2] == other.split(".")[:2] and own != ABOVE_ALL
            if own is None or below is None or same_room or own == below == CONVERTERS:
                continue
            if not below < own:
                wrong.append(f"{module} (floor {own:g}) imports {other} (floor {below:g})")
    assert not wrong


def test_networks_know_nothing_of_files():
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        if module.split(".")[0] == "nets"
        for other in imports(module)
        if other.split(".")[0] != "nets"
    ]
    assert not wrong


def test_networks_are_used_by_predictions_and_training_only():
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        if module.startswith("utils.") and floor(module) < 5
        for other in imports(module)
        if other.split(".")[0] == "nets"
    ]
    assert not wrong


def test_a_room_never_imports_its_own_face():
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        for other in imports(module)
        if len(module.split(".")) > 2 and other == module.rpartition(".")[0] and module.startswith("utils.")
    ]
    assert not wrong


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of modules each of which reaches all others of it (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    waiting: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        waiting.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in waiting:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            members = waiting[waiting.index(node) :]
            del waiting[-len(members) :]
            found.append(members)

    for node in graph:
        if node not in index:
            visit(node)
    return [sorted(members) for members in found if len(members) > 1]


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}) == [["b", "c"]]


def test_modules_import_each_other_in_no_circle():
    assert not circles({module: set(imports(module)) - {module} for module in MODULES})


def test_rooms_import_each_other_in_no_circle():
    rooms: dict[str, set[str]] = {room: set() for room in FLOORS}
    for module in MODULES:
        for other in imports(module):
            pair = [name.split(".")[1] for name in (module, other) if name.startswith("utils.")]
            if len(pair) == 2 and pair[0] != pair[1] and pair[0] in rooms and "__main__" not in module:
                rooms[pair[0]].add(pair[1])
    assert not circles(rooms)


FACES = [path for path in SOURCES if path.name == "__init__.py" and path.parent != ROOT / "nets"]


@pytest.mark.parametrize("face", FACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_face_has_a_few_lines(face):
    assert len(face.read_text(encoding="utf-8").splitlines()) <= 7


def test_no_file_is_too_long():
    files = [*SOURCES, *(ROOT / "utils").rglob("*.js")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{path.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


def test_no_function_is_too_long():
    assert {name: length for path in SOURCES for name, length in functions(path) if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name != "__init__.py"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_name_says_nothing(path):
    assert path.stem not in ("utils", "misc", "helpers", "common", "tools")


SLOW = {"torch", "torchvision", "av", "onnx", "onnxruntime", "onnxscript", "matplotlib", "pycocotools", "scipy"}
OPTIONAL = {"skimage", "playwright", "pytest"}  # benchmarks alone compare with them or run them
MEASURES_IMPORTS = {"benchmarks.index"}  # what a process takes once it has imported one thing after another


def outer_imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports when it is imported itself, not inside functions and not for types alone."""
    waiting: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Try) or (isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test)):
            waiting += node.body


def inner_imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports inside its functions."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """The module of the project that a full name lies in or is; None for other packages."""
    return next((part for part in (name, name.rpartition(".")[0]) if part in MODULES), None)


def slow_modules() -> set[str]:
    """Modules of the project that take a slow package with them when they are imported."""
    direct = {module: set(outer_imports(path)) for module, path in MODULES.items()}
    slow = {module for module, names in direct.items() if any(name.split(".")[0] in SLOW for name in names)}
    while True:
        more = {
            module
            for module, names in direct.items()
            if module not in slow and any(module_of(name) in slow for name in names)
        }
        if not more:
            return slow
        slow |= more


def test_imports_stand_at_the_top_unless_they_take_seconds():
    slow = slow_modules()
    wrong = [
        f"{module}: {name}"
        for module, path in MODULES.items()
        for name in inner_imports(path)
        if name.split(".")[0] not in SLOW | OPTIONAL and module_of(name) not in slow and module not in MEASURES_IMPORTS
    ]
    assert not wrong


def test_only_what_reads_the_command_line_knows_it():
    """`main`, and in the files of options what makes values of those that they have added themselves."""
    wrong = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if (
                    any(
                        argument.annotation and "Namespace" in ast.unparse(argument.annotation)
                        for argument in arguments
                    )
                    and node.name != "main"
                    and module not in OPTION_FILES
                ):
                    wrong.append(f"{module}:{node.name}")
    assert not wrong

"""Pack what a finished run leaves into a folder to pass on: `python -m utils.bundle runs/NAME --out weights/NAME`.

The weights that are used (averaged where the run averages), without the optimiser's state and whatever else only
continuing needs; the run's config, log and command; and the files' SHA-256, which `sha256sum -c SHA256SUMS` checks.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.system.command_line import Parser
from utils.system.errors import UserError, user_errors
from utils.system.files import ADVICE, whole_file
from utils.system.outputs import OutputFolder, adopt_earlier, require_apart

COPIED_FILES = ("config.json", "log.jsonl", "command.txt")
PACKED_FILES = ("best.pt", *COPIED_FILES)
PASSED_ON_KEYS = ("version", "model", "settings", "config", "epoch", "best", "git", "verifier")
SUMS_FILE = "SHA256SUMS"


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bundle(run: str, out: str) -> list[Path]:
    """Write the files of the folder `run` that others need into the folder `out`.

    Returns:
        Their paths, weights first.

    Raises:
        UserError: the run has no `best.pt` or no log, or `out` holds the run or other files of these names, or cannot
            be written.
    """
    from utils.predictor.checkpoint import load_checkpoint, save_checkpoint

    source, target = Path(run), Path(out)
    content = load_checkpoint(source / "best.pt")
    missing = [name for name in COPIED_FILES if not (source / name).is_file()]
    if missing:
        raise UserError(f"{run}: found no {', '.join(missing)}, expected the folder of a training run")
    require_apart(target, [source / name for name in PACKED_FILES])
    packed = (*PACKED_FILES, SUMS_FILE)
    OutputFolder(target, "utils.bundle", adopt_earlier(target, SUMS_FILE, b"  best.pt\n", packed)).claim(*packed)
    used = {key: content[key] for key in PASSED_ON_KEYS if key in content}
    weights = {**used, "network": content.get("ema") or content["network"], "ema": None}
    save_checkpoint(target / "best.pt", weights, ADVICE)
    paths = [target / "best.pt"]
    for name in COPIED_FILES:
        with whole_file(target / name) as file:
            file.write((source / name).read_bytes())
        paths.append(target / name)
    with whole_file(target / SUMS_FILE) as file:
        file.write("".join(f"{sha256(path)}  {path.name}\n" for path in paths).encode())
    return paths


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="python -m utils.bundle", description=__doc__.splitlines()[0].split(":")[0] + ".")
    parser.add_argument("run", metavar="RUN", help="folder of a training run, such as runs/NAME")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="for the files, such as weights/NAME")
    given = parser.parse_args(argv)
    for path in bundle(given.run, given.out):
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    with user_errors():
        main(sys.argv[1:])

"""`--help` of every command is answered before anything slow is imported."""

import json
import subprocess
import sys

import pytest
from modules import SOURCES
from scripts import ROOT

COMMANDS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (*SOURCES, *sorted((ROOT / "docs").glob("*.py")))
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
]
SLOW = (
    *(
        "torch",
        "torchvision",
        "cv2",
        "scipy",
        "tqdm",
        "av",
        "onnx",
        "onnxruntime",
        "onnxscript",
        "matplotlib",
        "pycocotools",
    ),
    *("skimage", "playwright", "tensorboard", "openvino"),
)
# Runs the commands one after another where importing anything slow fails; prints what each of them ended with.
RUN_ALL = """
import contextlib, io, json, runpy, sys, traceback, warnings
warnings.simplefilter("ignore")
commands, slow = json.loads(sys.argv[1])
sys.modules |= dict.fromkeys(slow)
results = {}
for command in commands:
    sys.argv = [command, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            runpy.run_module(command, run_name="__main__", alter_sys=True)
            end = "went on after --help"
        except SystemExit as stopped:
            end = stopped.code
        except BaseException:
            end = traceback.format_exc()
    results[command] = end, shown.getvalue()
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def answers():
    """What each command ended with, and what it printed."""
    call = [sys.executable, "-c", RUN_ALL, json.dumps([COMMANDS, SLOW])]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_slow(answers, command):
    """`from utils.system.packages.late import cv2` is what stands at the top instead of `import cv2`."""
    end, shown = answers[command]
    assert end == 0, end
    assert shown.startswith("usage: ") and "--help" in shown


def test_the_commands_are_found():
    assert {"test", "vid_predict", "train_DAUB", "utils.synthetic", "utils_coco.import_labels"} <= set(COMMANDS)

"""Small wrong changes to important lines, each of which the tests must catch: `python -m tests.mutants`.

For each a clone of what is committed is made, the line is changed there, and the tests named beside it run until one
fails. A change after which all of them pass is printed as one that survived.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Mutation(NamedTuple):
    """A wrong change: in a file this text becomes that one; these tests notice."""

    file: str
    before: str
    after: str
    tests: str


MUTATIONS = [
    Mutation("utils/view/server.py", "not in self.server.hosts", "in ()", "view/test_view_server.py"),
    Mutation("utils/view/server.py", "(HOST, port), Handler", '("", port), Handler', "view/test_view_server.py"),
    Mutation(
        "utils/view/server.py", "self.folder not in real.parents", "not real.is_absolute()", "view/test_view_server.py"
    ),
    Mutation("utils/view/server.py", 'or part.startswith(".")', "or not part", "view/test_view_server.py"),
    Mutation("utils/view/server.py", 'origin != f"http://{host}"', "not origin", "view/test_view_server.py"),
    Mutation("utils/view/server.py", "if not secrets.compare_digest(", "if None and (", "view/test_view_server.py"),
    Mutation("utils/view/server.py", "int(length) > MAX_LABELS_BYTES", "int(length) < 0", "view/test_view_server.py"),
    Mutation("utils/view/saved_labels.py", "if path.is_symlink():", "if path.is_mount():", "view/test_view_server.py"),
    Mutation("utils/view/saved_labels.py", "require_new_or_own(path, ", "print(path, ", "view/test_view_server.py"),
    Mutation("utils/view/saved_labels.py", "if box.state != OPEN", "if box.state == OPEN", "view/test_view_server.py"),
    Mutation("utils/view/dataset_pages.py", "hits != LEFT_OUT", "hits == hits", "view/test_dataset_pages.py"),
    Mutation(
        "utils/view/dataset_pages.py",
        "size = size or looked.size",
        "size = size if place else looked.size",
        "view/test_dataset_pages.py",
    ),
    Mutation(
        "utils/view/inputs.js",
        "if (page.unsaved().length) event",
        "if (page.sequence.unsaved) event",
        "view/test_page_editing.py",
    ),
    Mutation(
        "utils/view/model.js",
        "this.live(track).every(at => this.frame[at] !== frame)",
        "true",
        "view/test_page_editing.py",
    ),
    Mutation("utils/view/server.py", "file.seek(start)", "file.seek(start + 1)", "view/test_view_server.py"),
    Mutation(
        "utils_coco/page_labels.py", "ignored = box.state == OPEN", "ignored = False", "utils_coco/test_page_labels.py"
    ),
    Mutation("utils_coco/page_labels.py", "if page.complete or any", "if any", "utils_coco/test_page_labels.py"),
    Mutation("utils/view/grouping.py", "min(away) > REACH * back", "min(away) < 0", "view/test_page.py"),
    Mutation(
        "utils/export.py",
        "if not different <= MAX_DEVIATION:",
        "if different > MAX_DEVIATION:",
        "commands/test_export_files.py",
    ),
    Mutation(
        "utils/commands/exported_program.py",
        "np.max(differences)",
        "np.nanmax(differences)",
        "commands/test_export_files.py",
    ),
    Mutation("utils/system/files.py", "os.fsync(file.fileno())", "file.fileno()", "system/test_files.py"),
    Mutation("utils/system/files.py", "os.fsync(descriptor)", "int(descriptor)", "system/test_files.py"),
    Mutation("utils/clips/rule.py", "numbers[i - 1] + 1 else i", "numbers[i - 1] + 2 else i", "clips/test_clips.py"),
    Mutation(
        "utils/clips/rule.py", "max(start, index - age * step)", "max(0, index - age * step)", "clips/test_clips.py"
    ),
    Mutation("utils/metrics/average_precision.py", "iscrowd=1", "iscrowd=0", "metrics/test_ignored_regions.py"),
    Mutation(
        "utils/metrics/average_precision.py",
        "if overlap >= best:",
        "if overlap > best:",
        "metrics/test_average_precision.py",
    ),
    Mutation(
        "utils/metrics/hungarian.py", "ratio(total, int(known.sum()))", "ratio(total, 4)", "metrics/test_hungarian.py"
    ),
    Mutation(
        "utils/metrics/hungarian.py",
        "np.where(closeness > _TIE, closeness, 0)",
        "np.maximum(closeness, -1e9)",
        "metrics/test_hungarian.py",
    ),
    Mutation(
        "utils/metrics/segmentation.py",
        "len(pixel) - intersection",
        "len(pixel) + intersection",
        "metrics/test_metrics.py",
    ),
    Mutation(
        "utils/metrics/rules.py",
        "np.ones((9, 9)",
        "np.ones((7, 7)",
        "metrics/test_metrics.py metrics/test_metrics_independent.py",
    ),
    Mutation(
        "utils/metrics/segmentation.py",
        'probability.reshape(-1)[pixel], side="left"',
        'probability.reshape(-1)[pixel], side="right"',
        "metrics/test_metrics.py metrics/test_metrics_independent.py",
    ),
    Mutation(
        "utils/images/components.py",
        "MATCH_DISTANCE**2 - _TIE",
        "MATCH_DISTANCE**2 + _TIE",
        "images/test_components.py metrics/test_metrics.py",
    ),
    Mutation("utils/metrics/bootstrap.py", "(1 + level) / 2]", "(2 + level) / 3]", "metrics/test_bootstrap.py"),
    Mutation("utils/training/selection.py", "(fa <= fa_budget) &", "(fa <= fa_budget) |", "clips/test_clips.py"),
    Mutation("utils/training/selection.py", "fa == fa.min()", "fa == fa.max()", "clips/test_clips.py"),
    Mutation(
        "utils/training/selection.py",
        "numbers < number",
        "numbers <= number",
        "clips/test_clips.py datasets/test_frame_table.py",
    ),
    Mutation("utils/training/learner.py", 'torch.set_rng_state(states["dropout"])', "pass", "training/test_resume.py"),
    Mutation(
        "utils/training/optim.py",
        "(1 + n) / (10 + n)",
        "(1 + n) / (9 + n)",
        "training/test_training.py training/test_config.py",
    ),
    Mutation("nets/losses.py", "0.25 + 0.5 * mask", "0.25 + 0.4 * mask", "nets/test_losses.py"),
    Mutation("nets/losses.py", "if epoch <= warm_up:", "if epoch < warm_up:", "nets/test_losses.py"),
    Mutation(
        "nets/convlstm.py",
        "n = f.sigmoid() * n + i.sigmoid() * tanh(g) + c",
        "n = f.sigmoid() * n + i.sigmoid() * tanh(g)",
        "nets/test_fast.py",
    ),
    Mutation(
        "utils/images/boxes.py",
        "(box_iou(block, waiting) > limit)",
        "(box_iou(block, waiting) >= limit)",
        "images/test_suppression.py",
    ),
    Mutation("utils/images/snr.py", "/ around.std())", "/ around.var())", "synthetic/test_synthetic.py"),
    Mutation(
        "utils/images/fit.py",
        "(self.size[0] - self.inner[0]) // 2",
        "(self.size[0] - self.inner[0]) // 3",
        "images/test_letterbox.py",
    ),
    Mutation("utils/clips/registration.py", "reach - np.array(", "np.array(", "clips/test_registration.py"),
    Mutation("utils/clips/registration.py", "steps[index:]", "steps[index + 1:]", "clips/test_registration.py"),
    Mutation(
        "utils/clips/clones.py", "(found > 0) & (target == 0)", "(found > 0) & (target >= 0)", "clips/test_augment.py"
    ),
    Mutation(
        "utils/images/box_masks.py",
        "if signed[peak] <= MIN_CONTRAST",
        "if signed[peak] >= MIN_CONTRAST",
        "images/test_boxes.py",
    ),
    Mutation(
        "utils/predictor/tracking/tracker.py",
        "np.sqrt(GATE * variance)",
        "np.sqrt(variance)",
        "predictor/test_tracker_filter.py",
    ),
    Mutation(
        "utils/predictor/tracking/tracker.py",
        "if len(late) < hits or self.held:",
        "if len(late) <= hits or self.held:",
        "predictor/test_confirmation.py",
    ),
    Mutation(
        "utils/predictor/tracking/tracker.py",
        "if one.time > since]",
        "if one.time >= since]",
        "predictor/test_confirmation.py",
    ),
    Mutation(
        "utils/predictor/tracking/kinematics.py",
        "if not before and math.hypot(",
        "if math.hypot(",
        "predictor/test_confirmation.py",
    ),
    Mutation(
        "utils/predictor/tracking/confirmation.py",
        "if len(waiting) > rule.delay:",
        "if len(waiting) >= rule.delay:",
        "predictor/test_confirmation.py",
    ),
    Mutation(
        "utils/predictor/tracking/tracker.py",
        "centres = np.array([_centre(one) for one in found]) - self.offset",
        "centres = np.array([_centre(one) for one in found])",
        "predictor/test_confirmation.py",
    ),
    Mutation(
        "utils/metrics/tracks/counts.py",
        "2 * hits.sum() < len(hits)",
        "2 * hits.sum() <= len(hits)",
        "metrics/test_track_figures.py",
    ),
    Mutation("utils/metrics/tracks/counts.py", ">= least).any()", "> least).any()", "metrics/test_track_figures.py"),
    Mutation("utils/metrics/tracks/counts.py", "            previous[:] = -1\n", "", "metrics/test_track_figures.py"),
    Mutation("utils/metrics/tracks/counts.py", "places[0])", "places[1])", "metrics/test_track_figures.py"),
    Mutation("utils/metrics/tracks/rules.py", "(2 * self.distance)", "self.distance", "metrics/test_track_figures.py"),
    Mutation("utils/metrics/tracks/truth.py", "frame.number / usual", "frame.number", "metrics/test_track_figures.py"),
    Mutation(
        "utils/metrics/tracks/log.py",
        "frame.number, seen)",
        "frame.number, prediction)",
        "metrics/test_track_figures.py",
    ),
    Mutation(
        "utils/predictor/checksum.py",
        "if begin == _BEGIN and not",
        "if begin != _BEGIN and not",
        "predictor/test_checksum.py",
    ),
    Mutation(
        "utils/system/lock.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "system/test_lock.py"
    ),
    Mutation("utils/system/outputs.py", "if own in there:", "if own == there[0]:", "system/test_outputs.py"),
    Mutation(
        "utils/images/grey_levels.py",
        "USUAL_PERCENTILES = 0.5, 99.9",
        "USUAL_PERCENTILES = 0.5, 99.8",
        "predictor/test_frame_preparation.py",
    ),
    Mutation(
        "utils/images/frame_names.py",
        "TIME_STAMP_JITTER * step",
        "2 * TIME_STAMP_JITTER * step",
        "images/test_frame_order.py",
    ),
    Mutation(
        "utils_coco/cvat_files.py",
        "turn = (right.rotation - left.rotation + 180) % 360 - 180",
        "turn = right.rotation - left.rotation",
        "utils_coco/test_cvat_labels.py",
    ),
    Mutation(
        "utils_coco/cvat_files.py",
        "stop = bisect_left(frames, right.frame)",
        "stop = bisect_left(frames, right.frame + 1)",
        "utils_coco/test_cvat_labels.py utils_coco/test_round_trips.py",
    ),
    Mutation(
        "utils_coco/coco_to_cvat.py",
        "place + 1 < len(frames.numbers) and",
        "place + 2 < len(frames.numbers) and",
        "utils_coco/test_round_trips.py",
    ),
    Mutation(
        "utils_coco/labelme_labels.py",
        "return min(x), min(y), max(x) + 1, max(y) + 1",
        "return min(x), min(y), max(x), max(y)",
        "utils_coco/test_labelme_labels.py",
    ),
    Mutation(
        "utils_coco/yolo_labels.py",
        "whole and once and above and not behind",
        "whole and above and not behind",
        "utils_coco/test_labels_and_images.py",
    ),
    Mutation(
        "utils/system/untrusted.py",
        "if self.depth > MAX_XML_DEPTH:",
        "if self.depth > 10**6 * MAX_XML_DEPTH:",
        "system/test_untrusted.py",
    ),
]


def catcher(mutation: Mutation) -> str:
    """The test that fails with a mutation; empty where none does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(copy)], check=True)
        file = copy / mutation.file
        text = file.read_text(encoding="utf-8")
        if text.count(mutation.before) != 1:
            raise SystemExit(
                f"{mutation.file}: found {mutation.before!r} {text.count(mutation.before)} times, expected once"
            )
        file.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
        tests = [f"tests/{name}" for name in mutation.tests.split()]
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=copy,
            capture_output=True,
            text=True,
        )
        if run.returncode > 1:
            raise SystemExit(f"the tests did not run: {run.stdout[-1000:]}")
        failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return failed[0].split()[1] if failed else ""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("numbers", type=int, nargs="*", help="of the mutations to try, from 0 on (default: all)")
    numbers = parser.parse_args(argv).numbers or range(len(MUTATIONS))
    survivors = 0
    for number in numbers:
        found = catcher(MUTATIONS[number])
        survivors += not found
        print(number, MUTATIONS[number].file, f"caught by {found}" if found else "SURVIVED", flush=True)
    print(f"{len(numbers) - survivors} of {len(numbers)} caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

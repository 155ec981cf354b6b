"""What is fuzzed: sound inputs of every kind that the project reads, and how it reads them."""

import contextlib
import io
import itertools
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import onnx
import scipy.io
import torch
from mutations import change_value, mutate
from onnx import TensorProto, helper
from PIL import Image
from trees import coco, picture, write, write_pairs

from nets import build_model
from utils import log, summary
from utils.clips.settings import ClipSettings
from utils.datasets.coco import write_coco
from utils.datasets.dataset import open_dataset
from utils.datasets.quick_check import quick_check
from utils.images.image_files import image_size, read_frame
from utils.images.masks.values import read_mask
from utils.metrics.coco_results import naming_of, read_results
from utils.predictor.checkpoint import load_checkpoint, save_checkpoint
from utils.predictor.onnx_run import METADATA_KEY
from utils.predictor.predictor import Predictor
from utils.predictor.weights import load_weights, read_weights
from utils.training.config import TrainConfig
from utils.training.config_cli import parse_cli
from utils.training.recipes import SEGMENTATION_FIRST
from utils.training.resume import last_checkpoint
from utils.training.setup import network_options
from utils.video.sources import open_sources
from utils.view.results import read_folder
from utils_coco import (
    coco_to_cvat,
    coco_to_labelme,
    coco_to_mot,
    coco_to_yolo,
    csv_to_coco,
    import_labels,
    txt_to_coco,
)

SIDE = (24, 32)
FRAMES = [f"train/s1/{number}" for number in range(3)]


class Target(NamedTuple):
    """A sound input and its reader.

    Args:
        name: of the kind.
        make: writes the input into an empty folder, and gives the path that is changed.
        read: reads it from the folder.
        kind: as of `mutations.mutate`.
        change: (bytes, rng) → bytes, instead of `mutate`.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    kind: str = ""
    change: Callable | None = None


def _image(suffix, array, **options):
    def make(folder):
        path = folder / f"0{suffix}"
        Image.fromarray(array).save(path, **options)
        return path

    return make


def _try_each(ways, use):
    """Use each of the ways, also where another refuses what it is given; the last refusal is raised in the end."""
    refused = None
    for way in ways:
        try:
            use(way)
        except Exception as error:
            if type(error).__name__ != "UserError":
                raise
            refused = error
    if refused:
        raise refused


def _look(folder):
    """Every way to read an image; the first that is refused must not keep the others from being tried."""
    (path,) = folder.glob("0.*")
    _try_each((image_size, read_frame, read_mask), lambda read: read(path))


def _watch(folder):
    for source in open_sources(next(folder.glob("0*"))):
        for _ in itertools.islice(source, 40):
            pass


def _stack(folder):
    pages = [Image.fromarray(picture(i, SIDE, np.uint16 if i % 2 else np.uint8)) for i in range(3)]
    pages[0].save(folder / "0.tif", save_all=True, append_images=pages[1:], compression="tiff_deflate")
    return folder / "0.tif"


def _film(suffix, codec, pixels="yuv420p"):
    def make(folder):
        path = folder / f"0{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            for number in range(5):
                frame = av.VideoFrame.from_ndarray(np.repeat(picture(number, (48, 64))[..., None], 3, 2), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


def _mat(packed):
    def make(folder):
        values = {"Mix": np.stack([picture(i, SIDE) for i in range(3)]).astype(float), "note": "x", "n": {"a": 1}}
        scipy.io.savemat(folder / "0.mat", values, do_compression=packed)
        return folder / "0.mat"

    return make


def _npy(folder):
    np.save(folder / "0.npy", np.stack([picture(i, SIDE) for i in range(3)]))
    return folder / "0.npy"


def _npz(folder):
    np.savez(folder / "0.npz", weight=np.zeros(4, np.float32))
    return folder / "0.npz"


def _dataset(listing):
    """A dataset of three frames and its boxes; `listing` writes them, and gives the path."""

    def make(folder):
        write_pairs(folder, FRAMES, SIDE, masks=False)
        return listing(folder)

    return make


def _coco_listing(folder):
    path = folder / "annotations" / "instances_train2017.json"
    write_coco(path, coco([f"images/{name}.png" for name in FRAMES], snr=2.5, track_id=1))
    return path


def _box_listing(folder):
    path = folder / "train.txt"
    path.write_text("".join(f"images/{name}.png 3,4,8,9,0 10,10,14,14,0\n" for name in FRAMES))
    return path


def _open(folder):
    dataset = open_dataset(folder, "train")
    quick_check(dataset)
    for frames in dataset.sequences.values():
        for frame in frames:
            frame.boxes  # noqa: B018 - unpacked when it is asked for


def _mask_list(folder):
    write_pairs(folder, [f"s1/{number}" for number in range(3)], SIDE)
    (folder / "test.txt").write_text("s1/2\n")
    (folder / "train.txt").write_text("s1/0.png\ns1/1.png\n")
    return folder / "train.txt"


def _video(place, text, frames="img"):
    """A video of two frames and what labels it."""

    def make(folder):
        for number in (1, 2):
            write(folder / frames / f"{number}.png", picture(number, SIDE))
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return make


def _open_video(folder):
    dataset = open_dataset(folder, "all", "images")
    quick_check(dataset)
    for frame in dataset.frames:
        frame.boxes, frame.tracks  # noqa: B018 - unpacked when it is asked for


def _convert_to_mot(folder):
    path = next((folder / "annotations").iterdir())
    coco_to_mot.convert(str(path), str(folder / uuid.uuid4().hex))


def _convert_to_others(folder):
    """Out to every other program's format that a json can go to, each whatever became of the others."""
    path = next((folder / "annotations").iterdir())
    _try_each(
        (coco_to_cvat, coco_to_labelme, coco_to_yolo),
        lambda command: command.convert(str(path), str(folder / uuid.uuid4().hex)),
    )


def _predictions(name):
    """What vid_predict.py has found in two frames; the file called so is changed."""

    def make(folder):
        found = {"score": 0.75, "box": [3.5, 4, 9, 9.125], "centroid": [6, 6], "area": 28, "class": 0}
        frames = [{"number": number, "name": f"{number:06d}", "components": [found]} for number in (7, 9)]
        about = {"source": "x.mp4", "task": "detection", "size": [SIDE[1], SIDE[0]]}
        place = folder / "annotations"  # as a listing has it
        place.mkdir()
        (folder / "predictions.json").write_text(json.dumps(about | {"frames": frames}))
        path = place / name
        path.write_text((folder / "predictions.json").read_text())
        if name == "tracks.csv":
            path = folder / name
            path.write_text("id,frame,x,y,w,h,score,speed\n1,7,3.5,4,5.5,5.125,0.75,1.25\n1,9,4,4,5,5,0.5,1\n")
        return path

    return make


def _convert_tracks(folder):
    coco_to_cvat.convert(str(folder / "tracks.csv"), str(folder / uuid.uuid4().hex))


def _points(packed):
    def make(folder):
        write(folder / "images" / "a.png", picture(1, SIDE))
        info = np.empty((1, 1), object)
        info[0, 0] = {"location": np.array([[3.0, 4, 1], [9, 8, 2]]), "number": 2.0}
        path = folder / "labels" / "GT_a.mat"
        path.parent.mkdir()
        scipy.io.savemat(path, {"image_info": info}, do_compression=packed)
        return path

    return make


def _convert_list(folder):
    txt_to_coco.convert(str(folder / "train.txt"), out=str(folder / f"{uuid.uuid4().hex}.json"))


def _labels(suffix, text, name="0", more=None):
    """Images, and a label file for one of them."""

    def make(folder):
        for number in range(2):
            write(folder / "images" / f"{number}.png", picture(number, SIDE))
        path = folder / "labels" / f"{name}{suffix}"
        path.parent.mkdir()
        path.write_text(text)
        for other, content in (more or {}).items():
            (folder / "labels" / other).write_text(content)
        return path

    return make


def _import(folder):
    out = folder / uuid.uuid4().hex
    import_labels.convert(str(folder / "images"), str(folder / "labels"), str(out), fraction=0.5)


VOC = """<annotation><filename>0.png</filename><size><width>32</width><height>24</height><depth>1</depth></size>
<object><name>bird</name><difficult>0</difficult><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>8</xmax><ymax>9</ymax>
</bndbox></object></annotation>
"""


def _csv_video(folder):
    (folder / "labels").mkdir()
    (folder / "videos").mkdir()
    _film(".mp4", "libx264")(folder / "videos")
    (folder / "labels" / "0.csv").write_text("frame,class,x,y,w,h\n1,bird,3,4,5,6\n2,plane,3.5,4,5,6\n")
    return folder / "labels" / "0.csv"


def _csv_convert(folder):
    csv_to_coco.convert(str(folder / "labels"), str(folder / "videos"), str(folder / uuid.uuid4().hex), quiet=True)


def _run_log(folder):
    rows = [{"git": "abc", "config": TrainConfig().as_dict()}]
    for epoch in range(1, 4):
        val = {"iou": 0.5, "pd": 0.5, "fa": 1e-5, "threshold": 0.5, "pd_in_budget": 0.5, "false_per_frame": 0.1}
        rows.append({"epoch": epoch, "loss": 1.0, "lr": 1e-3, "clips": 9, "val": val, "elapsed_s": 3.0})
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "log.jsonl"


def _compare(folder):
    log.compare([str(folder)], str(folder / "comparison.png"))


def _figures(folder):
    (folder / "test").mkdir()
    one = {"pd": 0.5, "fa": 1e-5, "false_per_frame": 0.1, "iou": 0.5, "niou": None}
    (folder / "test" / "metrics.json").write_text(json.dumps({"overall": one, "snr_gt_3": one, "weights": "x"}))
    return folder / "test" / "metrics.json"


def _results(folder):
    write_pairs(folder / "data", FRAMES, SIDE, masks=False)
    _coco_listing(folder / "data")
    rows = [{"image_id": 1 + i % 3, "category_id": 1, "bbox": [3.0, 4, 5, 6], "score": 0.5} for i in range(5)]
    (folder / "detections.json").write_text(json.dumps(rows))
    return folder / "detections.json"


def _read_results(folder):
    read_results(folder / "detections.json", naming_of(open_dataset(folder / "data", "train")))


def content_of_a_checkpoint():
    """A small checkpoint, as training leaves it."""
    torch.manual_seed(0)
    config = TrainConfig(frame_step=1, data_root="x")
    network = build_model("tsmsa", **network_options(config)).network
    optimizer = torch.optim.AdamW(network.parameters())
    state = network.state_dict()
    return {
        "model": {"name": "tsmsa", "options": network_options(config)},
        "settings": config.clip_settings((100.0, 30.0)).as_dict(),
        "config": config.as_dict(),
        "network": dict(state),
        "ema": dict(state),
        "epoch": 1,
        "best": {"epoch": 1, "iou": 0.5},
        "git": "abc",
        "optimizer": optimizer.state_dict(),
        "schedule": {"last_epoch": 1},
        "progress": {"epoch": 1, "step": 0, "best": {}, "history": []},
        "random": [],
        "data": {},
    }


def _checkpoint(folder):
    save_checkpoint(folder / "0.pt", content_of_a_checkpoint())
    return folder / "0.pt"


def _old_checkpoint(folder):
    torch.save(content_of_a_checkpoint(), folder / "0.pt", _use_new_zipfile_serialization=False)
    return folder / "0.pt"


def _plain_state(folder):
    torch.save(
        {"state_dict": {f"module.{name}": value for name, value in content_of_a_checkpoint()["network"].items()}},
        folder / "0.pt",
    )
    return folder / "0.pt"


def _change_content(data, rng):
    """A checkpoint with another value somewhere, saved as a sound one is, with its checksum."""
    content = torch.load(io.BytesIO(data), weights_only=True)
    part = rng.choice(("model", "settings", "config", "best", "progress", "optimizer", "network", "", "", "version"))
    if part in ("", "version"):
        content = change_value(content, rng)
    elif part in content:
        content[part] = change_value(content[part], rng)
    if not isinstance(content, dict):
        content = {"network": content}
    made = io.BytesIO()
    try:
        torch.save(content, made)
    except (OverflowError, ValueError, UnicodeEncodeError):  # Python cannot pickle it; neither can anybody else
        return data
    return made.getvalue()


def _read_weights(folder):
    path = folder / "0.pt"
    refused = []
    network = build_model("tsmsa").network
    for read in (
        lambda: read_weights(path, (100.0, 30.0)),
        lambda: load_weights(network, str(path), "tsmsa"),
        lambda: load_checkpoint(path),
        lambda: last_checkpoint(TrainConfig(frame_step=1, data_root="x", resume=str(path))),
    ):
        try:
            read()
        except Exception as error:
            if type(error).__name__ != "UserError":
                raise
            refused.append(error)
    if refused:
        raise refused[0]


def onnx_model(about):
    clips = helper.make_tensor_value_info("clips", TensorProto.FLOAT, ["B", 5, "H", "W"])
    found = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["B", "H", "W"])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("ReduceMean", ["clips", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sigmoid", ["mean"], ["probabilities"]),
    ]
    graph = helper.make_graph(nodes, "g", [clips], [found], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, about
    return model.SerializeToString()


def description():
    settings = ClipSettings(5, (100.0, 30.0), name="tsmsa").as_dict()
    return {"version": 2, "streaming": False, "opset": 20, "precision": "float32", "settings": settings, "multiple": 8}


def _export(folder):
    (folder / "0.onnx").write_bytes(onnx_model(json.dumps(description() | {"state_strides": []})))
    return folder / "0.onnx"


def _change_about(data, rng):
    model = onnx.load_from_string(data)
    text = mutate(model.metadata_props[0].value.encode(), rng, "json").decode("utf-8", "replace")
    return onnx_model(text)


def _run_export(folder):
    predictor = Predictor.from_checkpoint(folder / "0.onnx")
    for _ in predictor.stream([picture(i, SIDE) for i in range(2)]):
        pass


def _recipe(folder):
    (folder / "config.json").write_text(json.dumps(TrainConfig().as_dict()))
    return folder / "config.json"


def _parse_recipe(folder):
    parse_cli(SEGMENTATION_FIRST, ["--recipe", str(folder / "config.json"), "--data-root", "x"])


GREY, COLOUR = picture(1, SIDE), np.stack([picture(i, SIDE) for i in range(3)], 2)
YOLO = "0 0.5 0.5 0.1 0.1\n1 0.25 0.25 0.1 0.1\n"
TRACKED_YOLO = "0 0.5 0.5 0.1 0.1 0.75 7\n1 0.25 0.25 0.1 0.1 1\n1 0.1 0.1 0.2 0.1 0.2 0.2 0.3 0.4\n"
YAML = "path: .\ntrain: images\nnames:\n  0: bird\n  1: plane\n"
TABLE = "filename,class,xmin,ymin,xmax,ymax\n0.png,bird,3,4,8,9\n1.png,plane,3.5,4,8,9\n"
MOT = "1,1,3,4,5,6,1,-1,-1,-1\n1,-1,3.5,4,5,6,0,2,0.5,1\n2,1,3,4,5,6,1,-1,-1,-1\n"
CVAT = """<annotations><version>1.1</version><meta><task><name>images</name><size>2</size></task></meta>
<track id="3" label="bird"><box frame="0" keyframe="1" outside="0" occluded="0" xtl="3" ytl="4.5" xbr="8" ybr="9">
<attribute name="ignore">false</attribute></box><box frame="1" keyframe="1" outside="1" xtl="4" ytl="4" xbr="9" ybr="9"
rotation="9.5"/></track><track id="4" label="bird"><polygon frame="1" keyframe="1" points="3,4;8,4;5,9.25"/></track>
<image id="0" name="0.png" width="32" height="24"><ellipse label="plane" cx="9" cy="9" rx="2" ry="3"/></image>
</annotations>
"""
LABELME = json.dumps(
    {
        "shapes": [
            {"label": "bird", "points": [[3, 4], [8.5, 9]], "group_id": 3, "shape_type": "rectangle", "flags": {}},
            {"label": "bird", "points": [[3, 4]], "group_id": "x", "shape_type": "point", "flags": {"ignore": True}},
        ],
        "imagePath": "0.png",
        "imageHeight": 24,
        "imageWidth": 32,
    }
)
COCO_LABELS = json.dumps(coco(["0.png", "1.png"]))
PAGE_LABELS = json.dumps(
    {
        "made_by": "python -m utils.view",
        "format": 1,
        "source": "x",
        "sequence": "seq",
        "size": [SIDE[1], SIDE[0]],
        "classes": ["target"],
        "complete": True,
        "frames": [
            {
                "number": 0,
                "name": "0",
                "boxes": [{"box": [3, 4.5, 5, 5], "class": "bird", "state": "moved", "track": 2}],
            },
            {"number": 1, "name": "1", "boxes": [{"box": [3, 4, 5, 5], "class": "x", "state": "unreviewed"}]},
        ],
    }
)


def _results(folder):
    """A folder of results for the page."""
    found = {"score": 0.75, "box": [3, 4, 9, 9], "centroid": [6, 6], "area": 28}
    frames = [{"number": number, "name": f"{number:06d}", "components": [found]} for number in (7, 9)]
    about = {"source": "x.mp4", "sequence": "x", "fps": 25.0, "task": "segmentation", "size": [SIDE[1], SIDE[0]]}
    path = folder / "predictions.json"
    path.write_text(json.dumps(about | {"frames": frames}))
    (folder / "coco.json").write_text(json.dumps(coco(["0.png", "1.png"])))
    return path


def _show(folder):
    json.dumps(read_folder(folder).as_dict(0, 10), allow_nan=False)


TARGETS = [
    Target("png", _image(".png", GREY), _look, "png"),
    Target("png of 16 bits", _image(".png", picture(1, SIDE, np.uint16)), _look, "png"),
    Target("png with palette", _image(".png", np.asarray(Image.fromarray(GREY))), _look, "png"),
    Target("jpg", _image(".jpg", COLOUR), _look),
    Target("bmp", _image(".bmp", GREY), _look),
    Target("tif", _image(".tif", GREY, compression="tiff_lzw"), _look),
    Target("tif of floats", _image(".tif", GREY.astype(np.float32)), _look),
    Target("gif", _image(".gif", GREY), _watch),
    Target("webp", _image(".webp", COLOUR), _watch),
    Target("npy", _npy, _watch),
    Target("npz as weights", _npz, lambda folder: read_weights(folder / "0.npz"), "zip"),
    Target("mat", _mat(False), _look, "mat"),
    Target("packed mat", _mat(True), _look, "mat"),
    Target("tiff stack", _stack, _watch),
    Target("mp4", _film(".mp4", "libx264"), _watch),
    Target("avi", _film(".avi", "mpeg4"), _watch),
    Target("mkv of 16 bits", _film(".mkv", "ffv1", "gray16le"), _watch),
    Target("coco dataset", _dataset(_coco_listing), _open, "json"),
    Target("box list", _dataset(_box_listing), _open, "text"),
    Target("box list, converted", _dataset(_box_listing), _convert_list, "text"),
    Target("list of images", _mask_list, _open, "text"),
    Target("yolo", _labels(".txt", YOLO), _import, "text"),
    Target("yolo with tracks", _labels(".txt", TRACKED_YOLO), _import, "text"),
    Target("yolo names", _labels(".yaml", YAML, "data", {"0.txt": YOLO}), _import, "text"),
    Target("voc", _labels(".xml", VOC), _import, "text"),
    Target("cvat", _labels(".xml", CVAT, "annotations"), _import, "text"),
    Target("labelme", _labels(".json", LABELME), _import, "json"),
    Target("labels of the page", _labels(".json", PAGE_LABELS, "labels"), _import, "json"),
    Target("results for the page", _results, _show, "json"),
    Target("coco labels", _labels(".json", COCO_LABELS, "labels"), _import, "json"),
    Target("mot table of a dataset", _video("gt/gt.txt", MOT), _open_video, "text"),
    Target("voc beside frames", _video("images/1/xml_det/1.xml", VOC, "images/1/img"), _open_video, "text"),
    Target("mot labels", _labels(".txt", MOT, "gt"), _import, "text"),
    Target("mot tables of a json", _dataset(_coco_listing), _convert_to_mot, "json"),
    Target("json for other programs", _dataset(_coco_listing), _convert_to_others, "json"),
    Target("predictions for other programs", _predictions("predictions.json"), _convert_to_others, "json"),
    Target("tracks for other programs", _predictions("tracks.csv"), _convert_tracks, "text"),
    Target("points", _points(False), _import, "mat"),
    Target("packed points", _points(True), _import, "mat"),
    Target("csv", _labels(".csv", TABLE, "labels"), _import, "text"),
    Target("csv of a video", _csv_video, _csv_convert, "text"),
    Target("run log", _run_log, _compare, "text"),
    Target("figures", _figures, lambda folder: summary.main([str(folder)]), "json"),
    Target("detections", _results, _read_results, "json"),
    Target("checkpoint", _checkpoint, _read_weights, "zip"),
    Target("checkpoint of other content", _checkpoint, _read_weights, change=_change_content),
    Target("checkpoint in the old format", _old_checkpoint, _read_weights),
    Target("state dict", _plain_state, _read_weights, "zip"),
    Target("export", _export, _run_export),
    Target("export's description", _export, _run_export, change=_change_about),
    Target("recipe", _recipe, _parse_recipe, "json"),
]
BY_NAME = {target.name: target for target in TARGETS}


def prepare(root):
    """A sound input of every kind below `root`; gives the changed file of each, by the kind's name."""
    files = {}
    for target in TARGETS:
        folder = root / target.name.replace(" ", "_").replace("'", "")
        folder.mkdir(parents=True)
        with contextlib.redirect_stdout(io.StringIO()):
            files[target.name] = target.make(folder)
    return files


def change(target, data, rng, other):
    """A changed copy of a sound file's bytes, for `target`."""
    return target.change(data, rng) if target.change else mutate(data, rng, target.kind, other)


def read(target, folder):
    """Read it; what is written beside it is removed again."""
    before = set(folder.iterdir())
    try:
        target.read(folder)
    finally:
        for path in set(folder.iterdir()) - before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

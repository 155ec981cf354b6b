"""Labels of one target in every image, in the formats that people have."""

import json

from trees import SIZE, target_mask, write, write_text

BOX = (12, 10, 15, 13)  # x1, y1, x2, y2 of the target; images are 32 x 24


def yolo(root, key):
    x1, y1, x2, y2 = BOX
    values = ((x1 + x2) / 2 / SIZE[1], (y1 + y2) / 2 / SIZE[0], (x2 - x1) / SIZE[1], (y2 - y1) / SIZE[0])
    write_text(root / f"{key}.txt", "0 " + " ".join(f"{value:.8f}" for value in values) + "\n")


def voc(root, key):
    x1, y1, x2, y2 = BOX
    write_text(
        root / f"{key}.xml",
        f"<annotation><object><name>drone</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}"
        f"</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object></annotation>",
    )


def mask(root, key):
    write(root / f"{key}_mask.png", target_mask())


def table(columns, values):
    def make(root, keys):
        lines = [",".join(columns), *(",".join([f"{key}.png", *map(str, values)]) for key in keys)]
        write_text(root / "labels.csv", "\n".join(lines) + "\n")

    return make


def coco_json(root, keys):
    content = {
        "images": [
            {"id": i, "file_name": f"D:\\data\\{key}.png", "width": 32, "height": 24} for i, key in enumerate(keys)
        ],
        "annotations": [{"id": i, "image_id": i, "category_id": 7, "bbox": [12, 10, 3, 3]} for i in range(len(keys))],
        "categories": [{"id": 7, "name": "drone"}],
    }
    write_text(root / "x.json", json.dumps(content))


def labelme(root, key):
    x1, y1, x2, y2 = BOX
    shape = {"label": "drone", "points": [[x2, y1], [x1, y2]], "shape_type": "rectangle", "group_id": None}
    content = {"shapes": [shape], "imagePath": f"{key.rpartition('/')[2]}.png", "imageHeight": 24, "imageWidth": 32}
    write_text(root / f"{key}.json", json.dumps(content))


def cvat(root, keys):
    """CVAT for images."""
    x1, y1, x2, y2 = BOX
    box = f'<box label="drone" occluded="0" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" z_order="0"></box>'
    images = (f'<image id="{i}" name="{key}.png" width="32" height="24">{box}</image>' for i, key in enumerate(keys))
    write_text(root / "annotations.xml", f"<annotations><version>1.1</version>{''.join(images)}</annotations>")


def each(make):
    return lambda root, keys: [make(root, key) for key in keys]


KINDS = {
    "yolo": each(yolo),
    "voc": each(voc),
    "masks": each(mask),
    "coco": coco_json,
    "cvat": cvat,
    "labelme": each(labelme),
    "boxes": table(["image", "x", "y", "w", "h", "class"], [12, 10, 3, 3, "drone"]),
    "centroids": table(["image", "x", "y"], [13.5, 11.5]),
}

"""Small sources of every format with two photographs, where boxes are given by the text of one coordinate."""

import json
from xml.sax.saxutils import quoteattr


def _yolo(a, b, name):
    lines = [[f"0 {x} 0.5 0.1 0.1\n" for x in boxes] for boxes in (a, b)]
    return {"labels/a.txt": "".join(lines[0]), "labels/b.txt": "".join(lines[1]), "data.yaml": "names: [car, van]\n"}


def _yolo_obb(a, b, name):
    lines = [[f"0 {x} 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n" for x in boxes] for boxes in (a, b)]
    return {"labels/a.txt": "".join(lines[0]), "labels/b.txt": "".join(lines[1]), "data.yaml": "names: [car, van]\n"}


def _coco(a, b, name):
    boxes = [(1, x) for x in a] + [(2, x) for x in b]
    entries = [
        f'{{"id": {number}, "image_id": {image}, "category_id": 1, "bbox": [{x}, 10, 20, 20]}}'
        for number, (image, x) in enumerate(boxes, start=1)
    ]
    images = [
        {"id": 1, "file_name": name, "width": 100, "height": 80},
        {"id": 2, "file_name": "b.jpg", "width": 100, "height": 80},
    ]
    return {
        "annotations.json": f'{{"images": {json.dumps(images)}, "categories": [{{"id": 1, "name": "car"}}],\n'
        f' "annotations": [{", ".join(entries)}]}}'
    }


def _voc(a, b, name):
    def document(boxes, name):
        objects = "".join(
            f"<object><name>car</name><bndbox><xmin>{x}</xmin><ymin>10</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object>\n"
            for x in boxes
        )
        size = "<size><width>100</width><height>80</height></size>"
        return f"<annotation><filename>{quoteattr(name)[1:-1]}</filename>{size}\n{objects}</annotation>"

    return {"Annotations/a.xml": document(a, name), "Annotations/b.xml": document(b, "b.jpg")}


def _visdrone(a, b, name):
    lines = [[f"{x},10,20,20,1,4,0,0\n" for x in boxes] for boxes in (a, b)]
    return {"annotations/a.txt": "".join(lines[0]), "annotations/b.txt": "".join(lines[1])}


def _dota(a, b, name):
    lines = [[f"{x} 10 30 10 30 30 10 30 car 0\n" for x in boxes] for boxes in (a, b)]
    return {"labelTxt/a.txt": "".join(lines[0]), "labelTxt/b.txt": "".join(lines[1])}


def _groundtruth(a, b, name):
    def line(boxes, name):
        entries = ", ".join(f'{{"class_id": 0, "left": {x}, "top": 10, "width": 20, "height": 20}}' for x in boxes)
        content = f'{{"image_size": [{{"width": 100, "height": 80, "depth": 3}}], "annotations": [{entries}]}}'
        about = {"class-map": {"0": "car"}, "type": "groundtruth/object-detection"}
        return f'{{"source-ref": {json.dumps(name)}, "boxes": {content}, "boxes-metadata": {json.dumps(about)}}}\n'

    return {"output.manifest": line(a, name) + line(b, "images/b.jpg")}


def _cvat(a, b, name):
    def image(boxes, name):
        shapes = "".join(f'<box label="car" xtl="{x}" ytl="10" xbr="30" ybr="30"/>\n' for x in boxes)
        return f'<image name={quoteattr(name)} width="100" height="80">\n{shapes}</image>\n'

    return {"annotations.xml": f"<annotations>{image(a, name)}{image(b, 'b.jpg')}</annotations>"}


def _labelme(a, b, name):
    def document(boxes, name):
        shapes = ", ".join(
            f'{{"label": "car", "shape_type": "rectangle", "points": [[{x}, 10], [30, 30]]}}' for x in boxes
        )
        return (
            f'{{"version": "5.5.0", "imagePath": {json.dumps(name)}, "imageWidth": 100, "imageHeight": 80,'
            f' "shapes": [{shapes}]}}'
        )

    return {"images/a.json": document(a, name), "images/b.json": document(b, "b.jpg")}


def _csv(a, b, name):
    quoted = '"' + name.replace('"', '""') + '"'
    rows = [f"{quoted},{x},10,30,30,car\n" for x in a] + [f"b.jpg,{x},10,30,30,car\n" for x in b]
    return {"annotations.csv": "image_path,xmin,ymin,xmax,ymax,label\n" + "".join(rows)}


SOURCES = {
    "yolo": _yolo,
    "yolo-obb": _yolo_obb,
    "coco": _coco,
    "voc": _voc,
    "visdrone": _visdrone,
    "dota": _dota,
    "groundtruth": _groundtruth,
    "cvat": _cvat,
    "labelme": _labelme,
    "csv": _csv,
}

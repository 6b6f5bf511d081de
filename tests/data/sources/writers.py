"""Files as others write them: TFRecords by TensorBoard, films by FFmpeg, images by Pillow."""

import importlib
import io
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["encoded", "plain", "write_film", "write_records", "write_png"]

Values = list[bytes] | NDArray[np.float32] | NDArray[np.int64]


def plain(colour: tuple[int, int, int], height: int, width: int) -> NDArray[np.uint8]:
    """A frame of one colour."""
    return np.full((height, width, 3), colour, np.uint8)


def encoded(frame: NDArray[np.uint8], form: str) -> bytes:
    """A frame as the bytes of a PNG or JPEG file."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, form, **({"quality": 95} if form == "JPEG" else {}))
    return file.getvalue()


def write_png(path: Path, frame: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(frame, "PNG"))


def write_film(path: Path, frames: Iterable[NDArray[np.uint8]], codec: str, pixels: str) -> None:
    """A film; without loss if codec and pixel format have none."""
    av = importlib.import_module("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.pix_fmt = pixels
        for t, frame in enumerate(frames):
            if t == 0:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def write_records(path: Path, examples: Iterable[Mapping[str, Values]]) -> None:
    """A TFRecord file of tf.train.Examples."""
    writer = importlib.import_module("tensorboard.summary.writer.record_writer")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        records = writer.RecordWriter(file)
        for features in examples:
            records.write(_example(features))


def _example(features: Mapping[str, Values]) -> bytes:
    message = _example_class()()
    for name, values in features.items():
        feature = message.features.feature[name]
        if isinstance(values, list):
            feature.bytes_list.value.extend(values)
        elif values.dtype.kind == "f":
            feature.float_list.value.extend(values.tolist())
        else:
            feature.int64_list.value.extend(values.tolist())
    data: bytes = message.SerializeToString()
    return data


@cache
def _example_class() -> Any:
    """tf.train.Example in protobuf's own library."""
    descriptors = importlib.import_module("google.protobuf.descriptor_pb2")
    pools = importlib.import_module("google.protobuf.descriptor_pool")
    factory = importlib.import_module("google.protobuf.message_factory")
    kind = descriptors.FieldDescriptorProto
    file = descriptors.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")

    def lists(title: str, of: int) -> None:
        values = file.message_type.add(name=title).field
        values.add(name="value", number=1, label=kind.LABEL_REPEATED, type=of)

    def holder(message: Any, label: int, *fields: tuple[str, str]) -> None:
        for number, (name, what) in enumerate(fields, start=1):
            message.field.add(
                name=name, number=number, label=label, type=kind.TYPE_MESSAGE, type_name=what
            )

    one, many = kind.LABEL_OPTIONAL, kind.LABEL_REPEATED
    lists("BytesList", kind.TYPE_BYTES)
    lists("FloatList", kind.TYPE_FLOAT)
    lists("Int64List", kind.TYPE_INT64)
    holder(
        file.message_type.add(name="Feature"),
        one,
        ("bytes_list", ".t.BytesList"),
        ("float_list", ".t.FloatList"),
        ("int64_list", ".t.Int64List"),
    )
    features = file.message_type.add(name="Features")
    holder(features, many, ("feature", ".t.Features.FeatureEntry"))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=one, type=kind.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=one, type=kind.TYPE_MESSAGE, type_name=".t.Feature"
    )
    holder(file.message_type.add(name="Example"), one, ("features", ".t.Features"))
    pool = pools.DescriptorPool()
    pool.Add(file)
    return factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))

"""Event files: written by rushlight, read by rushlight's reader and by TensorBoard's own, and
compared with what real torch writes where both are installed."""

from __future__ import annotations

import gc
import io
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
import pytest

from rushlight.errors import FileFormatError
from rushlight.tensorboard import EventReader, FileWriter, SummaryWriter, read_events
from rushlight.tensorboard.proto import MESSAGES, DecodeError, decode, encode
from rushlight.tensorboard.record import crc32c, frame, read_records

ROOT = pathlib.Path(__file__).resolve().parent.parent


def logged(path: Any) -> list[Any]:
    """What TensorBoard's own reader finds in the event files of one directory, as protobufs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    events = []
    for file in sorted(pathlib.Path(path).glob("events.out.tfevents.*")):
        events += list(loader.LegacyEventFileLoader(str(file)).Load())
    return events


def accumulated(path: Any) -> Any:
    """TensorBoard's EventAccumulator over a directory, loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        result = module.EventAccumulator(str(path), size_guidance={"tensors": 0, "images": 0})
        result.Reload()
    return result


def picture(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random(shape, np.float32)


# The record and message formats


def test_crc32c_against_known_values_and_the_plain_loop() -> None:
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720
    assert crc32c(bytes(32)) == 0x8A9136AA
    data = np.random.default_rng(0).integers(0, 256, 70_001, np.uint8).tobytes()
    crc, checked = 0xFFFFFFFF, 0
    for length in (2047, 2048, 2049, 4096, 5000, 65536, 70_001):  # both sides of the fast path
        for byte in data[checked:length]:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        checked = length
        assert crc32c(data[:length]) == crc ^ 0xFFFFFFFF, length


def test_records_round_trip() -> None:
    items = [b"", b"a", os.urandom(5000)]
    file = io.BytesIO(b"".join(map(frame, items)))
    assert list(read_records(file)) == items


def test_messages_round_trip_and_write_what_protobuf_writes() -> None:
    event = {
        "wall_time": 1.5,
        "step": -3,
        "summary": {
            "value": [
                {"tag": "zero", "simple_value": 0.0},
                {"tag": "ü", "histo": {"bucket": [1.0, 2.0], "min": -0.0, "max": 7.0}},
                {"tag": "t", "tensor": {"int_val": [-1, 300], "bool_val": [True, False]}},
            ]
        },
    }
    data = encode("Event", event)
    back = decode("Event", data)
    assert back == event
    pb = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    assert pb.Event.FromString(data).SerializeToString() == data


def test_every_message_encodes_empty() -> None:
    for name in MESSAGES:
        assert encode(name, {}) == b"" and decode(name, b"") == {}


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ({"step": 1 << 70}, ValueError, "Value out of range: 1180591620717411303424"),
        ({"file_version": 5}, TypeError, "bad argument type for built-in operation"),
        ({"wall_time": "x"}, TypeError, "must be real number, not str"),
        ({"stepp": 1}, KeyError, "stepp"),
    ],
)
def test_bad_values_are_refused(values: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        encode("Event", values)


def test_broken_messages_raise_and_nothing_else() -> None:
    good = encode("Event", {"wall_time": 1.0, "step": 3, "summary": {"value": [{"tag": "abc"}]}})
    rng = np.random.default_rng(0)
    for _ in range(500):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            decode("Event", bytes(data[: rng.integers(len(data)) + 1]))
        except DecodeError:
            continue


# What every method writes, read back by both readers


def write_everything(writer: SummaryWriter) -> None:
    """One call of every method, with arrays; figures and graphs have their own tests."""
    writer.add_scalar("loss", 0.5, 1, walltime=100.0)
    writer.add_scalar("loss", np.float32(0.25), 2)
    writer.add_scalar("new", 1 / 3, 1, new_style=True)
    writer.add_scalar("double", 1 / 3, 1, new_style=True, double_precision=True)
    writer.add_image("chw", picture(3, 8, 6), 1)
    writer.add_image("hwc", (picture(8, 6, 3) * 255).astype(np.uint8), 1, dataformats="HWC")
    writer.add_image("hw", picture(8, 6), 1, dataformats="HW")
    writer.add_image("rgba", picture(8, 6, 4), 1, dataformats="HWC")
    writer.add_image("out of range", picture(1, 8, 6) * 4 - 2, 1)
    writer.add_images("batch", picture(10, 1, 4, 5), 2)
    writer.add_images("batch nhwc", picture(3, 4, 5, 3), 2, dataformats="NHWC")
    box = np.array([[2, 2, 20, 25], [5, 5, 30, 30]])
    writer.add_image_with_boxes("boxes", picture(3, 40, 40), box, 1, labels=["cat", "dog"])
    writer.add_image_with_boxes("big", picture(3, 40, 40), box, 1, rescale=2, labels="cat")
    values = np.random.default_rng(0).normal(size=(20, 5))
    writer.add_histogram("histogram", values, 3)
    writer.add_histogram("auto", values, 3, bins="auto")
    writer.add_histogram("joined", values, 3, bins=100, max_bins=7)
    writer.add_histogram_raw("raw", 0.0, 2.0, 3, 4.0, 5.0, [1.0, 2.0], [1, 2], 3)
    writer.add_text("text", "# Überschrift", 4)
    writer.add_audio("audio", np.sin(np.arange(400) / 9), 5, sample_rate=8000)
    writer.add_video("video", picture(3, 2, 3, 8, 8), 6)
    writer.add_tensor("float32", picture(2, 3), 7)
    writer.add_pr_curve("pr", np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.6, 0.5]), 8)
    counts = np.arange(1.0, 6.0)
    writer.add_pr_curve_raw("pr raw", counts, counts, counts, counts, counts, counts, 8, 5)
    corners, triangles = picture(1, 4, 3), np.array([[[0, 1, 2], [1, 2, 3]]])
    writer.add_mesh("mesh", corners, corners * 255, triangles, {"camera": {"fov": 75}}, 9)
    writer.add_custom_scalars(
        {"a": {"b": ["Multiline", ["x", "y"]], "c": ["Margin", ["v", "lo", "hi"]]}}
    )
    writer.add_custom_scalars_multilinechart(["x", "y"], "category", "title")
    writer.add_custom_scalars_marginchart(["x", "y", "z"])


TAGS = {
    "scalars": ["loss", "new", "double"],
    "images": ["chw", "hwc", "hw", "rgba", "out of range", "batch", "batch nhwc", "boxes"]
    + ["big", "video"],
    "histograms": ["histogram", "auto", "joined", "raw"],
    "audio": ["audio"],
    "texts": ["text/text_summary"],
    "tensors": ["float32", "pr", "pr raw", "mesh_VERTEX", "mesh_FACE", "mesh_COLOR"]
    + ["custom_scalars__config__"],
}


def test_everything_reads_back(tmp_path: pathlib.Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        write_everything(writer)
    reader = EventReader(tmp_path)
    assert reader.tags() == TAGS
    assert [(e.step, e.value) for e in reader.scalars("loss")] == [(1, 0.5), (2, 0.25)]
    assert reader.scalars("loss")[0].wall_time == 100.0
    assert abs(reader.scalars("loss")[1].wall_time - time.time()) < 60
    assert reader.scalars("new")[0].value == np.float32(1 / 3)
    assert reader.scalars("double")[0].value == 1 / 3
    assert reader.texts("text/text_summary")[0].value == "# Überschrift"
    np.testing.assert_array_equal(reader.tensors("float32")[0].value, picture(2, 3))
    assert reader.tensors("pr")[0].value.shape == (6, 127)
    assert reader.plugin("mesh_FACE") == "mesh" and reader.plugin("loss") == ""
    mesh = decode("MeshPluginData", reader.plugin_content("mesh_FACE"))
    assert mesh["shape"] == [1, 2, 3] and mesh["components"] == 14
    assert reader.histograms("raw")[0].value["bucket"] == [1.0, 2.0]
    sound = reader.audio("audio")[0].value
    assert (sound["sample_rate"], sound["length_frames"]) == (8000, 400)


def test_everything_loads_in_tensorboard(tmp_path: pathlib.Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        write_everything(writer)
    found = accumulated(tmp_path)
    tags = found.Tags()
    assert tags["scalars"] == ["loss"]
    assert set(tags["images"]) == set(TAGS["images"])
    assert set(tags["histograms"]) == set(TAGS["histograms"])
    assert tags["audio"] == ["audio"]
    assert set(tags["tensors"]) == {"new", "double", *TAGS["texts"], *TAGS["tensors"]}
    plugins = {"text/text_summary": "text", "pr": "pr_curves", "mesh_VERTEX": "mesh"}
    for tag, plugin in (plugins | {"new": "scalars"}).items():
        assert found.SummaryMetadata(tag).plugin_data.plugin_name == plugin
    image = found.Images("hwc")[0]
    assert (image.step, image.width, image.height) == (1, 6, 8)
    histogram = found.Histograms("histogram")[0].histogram_value
    assert histogram.num == 100 and sum(histogram.bucket) == 100


def test_pixels_scaling_and_clamping(tmp_path: pathlib.Path) -> None:
    from PIL import Image

    floats = np.array([[-1.0, 0.0, 0.5, 0.999, 1.0, 3.0, np.nan, np.inf]])
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("float", floats, dataformats="HW")
        writer.add_image("bytes", np.array([[0, 1, 255]], np.uint8), dataformats="HW")
        writer.add_image("bool", np.array([[True, False]]), dataformats="HW")
        writer.add_images("grid", np.full((9, 1, 2, 2), 1.0))
    reader = EventReader(tmp_path)

    def pixels(tag: str) -> Any:
        data = reader.images(tag)[0].value["encoded_image_string"]
        return np.asarray(Image.open(io.BytesIO(data)))

    assert pixels("float")[0, :, 0].tolist() == [0, 0, 127, 254, 255, 255, 0, 255]
    assert pixels("bytes")[0, :, 2].tolist() == [0, 1, 255]
    assert pixels("bool")[0, :, 1].tolist() == [255, 0]
    grid = pixels("grid")
    assert grid.shape == (4, 16, 3)
    assert grid[2:, 2:].sum() == 0 and grid[2:, :2].min() == 255


def test_a_video_is_an_animated_gif(tmp_path: pathlib.Path) -> None:
    from PIL import Image

    with SummaryWriter(tmp_path) as writer:
        writer.add_video("video", (picture(3, 5, 3, 8, 8) * 255).astype(np.uint8), fps=10)
    value = EventReader(tmp_path).images("video")[0].value
    movie = Image.open(io.BytesIO(value["encoded_image_string"]))
    assert (movie.format, movie.n_frames, movie.size) == ("GIF", 5, (32, 8))
    assert movie.info["duration"] == 100


def test_tensors_of_every_dtype_load_in_tensorboard(tmp_path: pathlib.Path) -> None:
    names = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"]
    arrays = {name: np.array([[1, 0, 3]]).astype(name) for name in names}
    arrays["complex64"] = np.array([1 + 2j, 3j], np.complex64)
    arrays["complex128"] = np.array([1 + 2j, 3j])
    arrays["scalar"] = np.array(2.5)
    with SummaryWriter(tmp_path) as writer:
        for name, array in arrays.items():
            writer.add_tensor(name, array, 1)
        with pytest.raises(ValueError, match="u has unsupported tensor dtype uint16"):
            writer.add_tensor("u", np.zeros(2, np.uint16))
    reader = EventReader(tmp_path)
    for name, array in arrays.items():
        value = reader.tensors(name)[0].value
        assert value.dtype == array.dtype
        np.testing.assert_array_equal(value, array)
    found = accumulated(tmp_path)
    from tensorboard.util import tensor_util  # type: ignore[import-untyped]

    for name, array in arrays.items():
        value = tensor_util.make_ndarray(found.Tensors(name)[0].tensor_proto)
        np.testing.assert_array_equal(value, array)


def test_add_scalars_writes_a_run_for_every_curve(tmp_path: pathlib.Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalars("loss/all", {"train": 1.0, "val": 2.0}, 1)
        writer.add_scalars("loss/all", {"train": 0.5}, 2)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == [
        "loss_all_train",
        "loss_all_val",
    ]
    train = EventReader(tmp_path / "loss_all_train").scalars("loss/all")
    assert [(e.step, e.value) for e in train] == [(1, 1.0), (2, 0.5)]
    assert EventReader(tmp_path).tags() == {}


def test_hparams(tmp_path: pathlib.Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        values = {"lr": 0.1, "name": "sgd", "flag": True, "none": None}
        writer.add_hparams(values, {"accuracy": 0.9}, {"lr": [0.1, 0.2]}, run_name="run")
    reader = EventReader(tmp_path / "run")
    assert reader.scalars("accuracy")[0].value == np.float32(0.9)
    content = decode("HParamsPluginData", reader.plugin_content("_hparams_/session_start_info"))
    assert content["session_start_info"]["hparams"] == [
        {"key": "lr", "value": {"number_value": 0.1}},
        {"key": "name", "value": {"string_value": "sgd"}},
        {"key": "flag", "value": {"number_value": 1.0}},
    ]
    found = accumulated(tmp_path / "run")
    assert {t for t in found.summary_metadata if t.startswith("_hparams_/")} == {
        "_hparams_/experiment",
        "_hparams_/session_start_info",
        "_hparams_/session_end_info",
    }


def test_embeddings(tmp_path: pathlib.Path) -> None:
    from PIL import Image

    points = np.array([[0.5, 1.0], [2.0, -1.0], [0.0, 0.25]])
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(points, ["a", "b", 3], picture(3, 3, 4, 4), 7, tag='x/"y')
        rows = [["a", 1], ["b", 2], ["c", 3]]
        writer.add_embedding(points, rows, metadata_header=["name", "number"])
    folder = tmp_path / "00007" / 'x%2f"y'
    assert (folder / "tensors.tsv").read_text() == "0.5\t1.0\n2.0\t-1.0\n0.0\t0.25\n"
    assert (folder / "metadata.tsv").read_text() == "a\nb\n3\n"
    with Image.open(folder / "sprite.png") as sprite:
        assert sprite.size == (8, 8)
    header = (tmp_path / "00000" / "default" / "metadata.tsv").read_text()
    assert header == "name\tnumber\na\t1\nb\t2\nc\t3\n"
    pb = pytest.importorskip("tensorboard.plugins.projector.projector_config_pb2")
    from google.protobuf import text_format  # type: ignore[import-untyped]

    text = (tmp_path / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, pb.ProjectorConfig())
    assert [e.tensor_name for e in config.embeddings] == ['x/"y:00007', "default:00000"]
    assert list(config.embeddings[0].sprite.single_image_dim) == [4, 4]


def test_sprites_need_not_be_square(tmp_path: pathlib.Path) -> None:
    from PIL import Image

    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(np.eye(4), label_img=picture(4, 1, 6, 5))
    with Image.open(tmp_path / "00000" / "default" / "sprite.png") as sprite:
        assert sprite.size == (10, 12)


def test_figures(tmp_path: pathlib.Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plt = pytest.importorskip("matplotlib.pyplot")
    figures = [plt.figure(figsize=(2, 1), dpi=50) for _ in range(3)]
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("one", figures[0], 1, close=False)
        assert plt.fignum_exists(figures[0].number)
        writer.add_figure("one", figures[0], 2)
        writer.add_figure("two", figures[1:], 3)
    assert plt.get_fignums() == []
    reader = EventReader(tmp_path)
    assert [e.step for e in reader.images("one")] == [1, 2]
    assert [reader.images(t)[0].value["width"] for t in ("one", "two")] == [100, 200]


def test_onnx_graphs(tmp_path: pathlib.Path) -> None:
    def value(name: str, *sizes: int) -> dict[str, Any]:
        dims = [{"dim_value": size} for size in sizes]
        return {
            "name": name,
            "type": {"tensor_type": {"elem_type": 1, "shape": {"dim": dims}}},
        }

    attributes = [{"name": "alpha", "f": 0.5, "type": 1}]
    node = {"input": ["x"], "output": ["y"], "op_type": "Elu", "attribute": attributes}
    graph = {"node": [node], "name": "g", "input": [value("x", 2, 3)], "output": [value("y", 2)]}
    (tmp_path / "model.onnx").write_bytes(encode("OnnxModel", {"ir_version": 8, "graph": graph}))
    (tmp_path / "bad.onnx").write_bytes(b"no model at all")
    with SummaryWriter(tmp_path / "log") as writer:
        writer.add_onnx_graph(tmp_path / "model.onnx")
        with pytest.raises(FileFormatError, match=r"bad\.onnx: no ONNX model"):
            writer.add_onnx_graph(tmp_path / "bad.onnx")
    found = EventReader(tmp_path / "log").graph()
    assert found is not None
    assert [(n["name"], n["op"]) for n in found["node"]] == [("x", "Variable"), ("y", "Elu")]
    assert accumulated(tmp_path / "log").Tags()["graph"]


# The writer's own behaviour


def test_default_directory_and_comment(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="_lr0.1", filename_suffix=".mine") as writer:
        assert writer.get_logdir() == writer.log_dir
    (folder,) = (tmp_path / "runs").iterdir()
    date, name = folder.name[:14], folder.name[15:]
    assert time.strptime(f"2024 {date}", "%Y %b%d_%H-%M-%S")
    assert name == f"{socket.gethostname()}_lr0.1"
    (file,) = folder.iterdir()
    assert file.name.startswith("events.out.tfevents.") and file.name.endswith(".mine")


def test_close_twice_and_go_on(tmp_path: pathlib.Path) -> None:
    writer = SummaryWriter(tmp_path)
    writer.add_scalar("a", 1, 1)
    writer.close()
    writer.close()
    writer.flush()
    writer.add_scalar("a", 2, 2)
    writer.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert [e.value for e in EventReader(tmp_path).scalars("a")] == [1.0, 2.0]


def test_what_is_added_is_in_the_file_at_once(tmp_path: pathlib.Path) -> None:
    writer = SummaryWriter(tmp_path, max_queue=1000, flush_secs=1000)
    writer.add_scalar("a", 1, 1)
    assert EventReader(tmp_path).scalars("a")[0].value == 1.0
    writer.close()


def test_a_writer_that_nobody_closes_warns_of_nothing(tmp_path: pathlib.Path) -> None:
    SummaryWriter(tmp_path).add_scalar("a", 1, 1)
    gc.collect()
    assert EventReader(tmp_path).scalars("a")[0].value == 1.0


def test_a_full_disk_leaves_whole_records(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SummaryWriter(tmp_path)
    writer.add_scalar("a", 1, 1)
    write, room = os.write, [10]

    def nearly_full(file: int, data: Any) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(file, data[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        with pytest.raises(OSError, match="No space left on device"):
            writer.add_scalar("a", 2, 2)
    writer.add_scalar("a", 3, 3)
    writer.close()
    assert [e.step for e in EventReader(tmp_path).scalars("a")] == [1, 3]


def test_purge_step_hides_what_came_later(tmp_path: pathlib.Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(6):
            writer.add_scalar("a", step, step)
    time.sleep(1.1)  # the files' names, and so their order, hold seconds
    with SummaryWriter(tmp_path, purge_step=3) as writer:
        writer.add_scalar("a", 30, 3)
    want = [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0)]
    assert [(e.step, e.value) for e in EventReader(tmp_path).scalars("a")] == want
    assert [(e.step, e.value) for e in accumulated(tmp_path).Scalars("a")] == want


def test_file_writer_reopens(tmp_path: pathlib.Path) -> None:
    file = FileWriter(tmp_path)
    file.close()
    with pytest.raises(OSError, match="Writer is closed"):
        file.add_summary({"value": []})
    file.reopen()
    file.add_summary({"value": [{"tag": "a", "simple_value": 1.0}]}, 3)
    file.close()
    assert EventReader(tmp_path).scalars("a")[0].step == 3


def test_threads_write_whole_records(tmp_path: pathlib.Path) -> None:
    from threading import Thread

    with SummaryWriter(tmp_path) as writer:

        def work(name: str) -> None:
            for step in range(200):
                writer.add_scalar(name, step, step)

        threads = [Thread(target=work, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    reader = EventReader(tmp_path)
    for n in range(4):
        assert [e.step for e in reader.scalars(f"t{n}")] == list(range(200))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_adds_to_the_same_file(tmp_path: pathlib.Path) -> None:
    program = """
import os, sys
from rushlight.tensorboard import SummaryWriter
writer = SummaryWriter(sys.argv[1])
writer.add_scalar("a", 1, 1)
child = os.fork()
for step in range(300):
    writer.add_scalar("child" if child == 0 else "parent", step, step)
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, cwd=ROOT)
    reader = EventReader(tmp_path)
    assert len(reader.scalars("a")) == 1
    assert len(reader.scalars("child")) == len(reader.scalars("parent")) == 300


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_leaves_a_readable_file(tmp_path: pathlib.Path) -> None:
    program = """
import sys, numpy
from rushlight.tensorboard import SummaryWriter
writer = SummaryWriter(sys.argv[1])
for step in range(10**9):
    writer.add_scalar("loss", step, step)
    writer.add_histogram("weights", numpy.arange(500.0), step)
    if step == 50:
        print("going", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    steps = [e.step for e in EventReader(tmp_path).scalars("loss")]
    assert len(steps) > 50 and steps == list(range(len(steps)))
    assert [e.step for e in accumulated(tmp_path).Scalars("loss")][-1] == steps[-1]


def test_nothing_heavy_is_imported() -> None:
    program = """
import sys, tempfile, numpy
before = set(sys.modules)
from rushlight.tensorboard import EventReader, SummaryWriter
with SummaryWriter(tempfile.mkdtemp()) as writer:
    writer.add_scalar("a", 1, 1)
    writer.add_histogram("h", numpy.ones(3), 1)
EventReader(writer.log_dir)
heavy = {"PIL", "matplotlib", "tensorboard", "google", "torch", "llvmlite"}
print(sorted({name.split(".")[0] for name in set(sys.modules) - before} & heavy))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# Mistakes


def note(error: pytest.ExceptionInfo[BaseException]) -> str:
    return " ".join(getattr(error.value, "__notes__", []))


def test_an_image_in_another_layout_names_the_fix(tmp_path: pathlib.Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(TypeError) as error:
            writer.add_image("a", np.zeros((512, 768, 3), np.uint8))
        assert str(error.value) == "Cannot handle this data type: (1, 1, 512), |u1"
        assert "dataformats='HWC'" in note(error) and "(512, 768, 3)" in note(error)
        with pytest.raises(AssertionError, match="size of input tensor and input format") as error:
            writer.add_image("a", np.zeros((8, 8)))
        assert "dataformats='HW'" in note(error)
        with pytest.raises(AssertionError, match="Input should be a 4D numpy array") as error:
            writer.add_images("a", np.zeros((2, 8, 8, 3)))
        assert "dataformats='NHWC'" in note(error)
    assert EventReader(tmp_path).tags() == {}


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda w: w.add_scalar("a", "x"), ValueError, "could not convert string to float: 'x'"),
        (lambda w: w.add_scalar("a", np.zeros(3)), AssertionError, "Tensor should contain one"),
        (lambda w: w.add_scalar("a", [1]), NotImplementedError, "Got <class 'list'>, but numpy"),
        (lambda w: w.add_scalar("a", None), NotImplementedError, "Got <class 'NoneType'>, but"),
        (lambda w: w.add_scalar("a", 1, "x"), ValueError, "invalid literal for int"),
        (lambda w: w.add_scalar("a", 1, 2**70), ValueError, "Value out of range"),
        (lambda w: w.add_scalar(5, 1), TypeError, "bad argument type for built-in operation"),
        (lambda w: w.add_text("a", 5), AttributeError, "'int' object has no attribute 'encode'"),
        (lambda w: w.add_histogram("a", np.array([])), ValueError, "The input has no element."),
        (lambda w: w.add_histogram("a", np.array([1e30])), ValueError, "The histogram is empty"),
        (lambda w: w.add_histogram("a", np.ones(1), bins="zz"), ValueError, "not a valid estim"),
        (
            lambda w: w.add_histogram_raw("a", 0, 1, 2, 3, 4, [1, 2], [1]),
            ValueError,
            r"len\(bucket_limits\) != len\(bucket_counts\)",
        ),
        (
            lambda w: w.add_image("a", np.zeros((3, 8, 8)), dataformats="CCW"),
            AssertionError,
            "You can not use the same dimension shorthand twice.",
        ),
        (lambda w: w.add_image("a", np.zeros((3, 0, 8))), ValueError, "cannot write empty image"),
        (lambda w: w.add_audio("a", np.zeros((2, 8))), AssertionError, "1 dimensional"),
        (lambda w: w.add_video("a", np.zeros((2, 3, 4, 4))), ValueError, "not enough values"),
        (lambda w: w.add_hparams([], {}), TypeError, "metric_dict should be dictionary."),
        (lambda w: w.add_hparams({"a": [1]}, {}), ValueError, "value should be one of int, float"),
        (
            lambda w: w.add_hparams({"a": 1}, {}, {"a": ["x"]}),
            TypeError,
            r"hparam_domain_discrete\[a\] should be a list of same type as hparam_dict\[a\]",
        ),
        (lambda w: w.add_mesh("a", np.zeros((4, 3))), ValueError, r"got torch.Size\(\[4, 3\]\)"),
        (lambda w: w.add_embedding(np.zeros(4)), AssertionError, "mat should be 2D"),
        (lambda w: w.add_embedding(np.eye(2), [1]), AssertionError, "#labels should equal"),
        (
            lambda w: w.add_embedding(np.eye(2), label_img=np.zeros((3, 3, 2, 2))),
            AssertionError,
            "#images should equal",
        ),
        (
            lambda w: w.add_custom_scalars_marginchart(["a"]),
            AssertionError,
            "Expected 3 tags, got 1.",
        ),
        (
            lambda w: w.add_pr_curve("a", np.ones(2), np.ones(3)),
            ValueError,
            "weights should have the same shape as a.",
        ),
    ],
)
def test_mistakes_raise_as_in_torch(
    tmp_path: pathlib.Path, call: Any, error: type[Exception], text: str
) -> None:
    with SummaryWriter(tmp_path) as writer, pytest.raises(error, match=text):
        call(writer)
    assert EventReader(tmp_path).tags() == {}  # and nothing was logged


def test_a_file_is_no_directory(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        SummaryWriter(tmp_path / "file")


def test_numbers_beyond_float32_become_infinite(tmp_path: pathlib.Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for value in (1e300, -1e300, float("nan")):
            writer.add_scalar("a", value)
    values = [e.value for e in EventReader(tmp_path).scalars("a")]
    assert values[:2] == [np.inf, -np.inf] and np.isnan(values[2])


# Broken files


def one_file(folder: pathlib.Path) -> pathlib.Path:
    with SummaryWriter(folder) as writer:
        for step in range(3):
            writer.add_scalar("loss", step, step)
    (file,) = folder.iterdir()
    return file


def test_a_truncated_file_raises_and_can_be_read_up_to_there(tmp_path: pathlib.Path) -> None:
    file = one_file(tmp_path)
    content = file.read_bytes()
    for size in (len(content) - 1, len(content) - 20, len(content) - 40):
        file.write_bytes(content[:size])
        with pytest.raises(FileFormatError, match="truncated record at byte"):
            EventReader(file)
        steps = [e.step for e in EventReader(file, allow_truncated=True).scalars("loss")]
        assert steps == list(range(len(steps))) and 1 <= len(steps) < 3


def test_a_corrupted_file_raises(tmp_path: pathlib.Path) -> None:
    file = one_file(tmp_path)
    content = bytearray(file.read_bytes())
    for position in range(0, len(content), 7):
        broken = bytearray(content)
        broken[position] ^= 0x10
        file.write_bytes(broken)
        for allow_truncated in (False, True):
            with pytest.raises(FileFormatError, match=r"corrupted record at byte \d+"):
                EventReader(file, allow_truncated=allow_truncated)


def test_foreign_files_raise(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "events.out.tfevents.1"
    for content in (b"hello", os.urandom(100), struct.pack("<Q", 1 << 60) + bytes(20)):
        file.write_bytes(content)
        with pytest.raises(FileFormatError):
            EventReader(file)
    file.write_bytes(frame(b"\xff\xff\xff"))  # whole, but no event
    with pytest.raises(FileFormatError, match="record 0 is no event"):
        list(read_events(file))
    with pytest.raises(FileNotFoundError):
        EventReader(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no event file in"):
        EventReader(tmp_path / "empty")


# The same calls in real torch


def test_torch_writes_the_same(tmp_path: pathlib.Path) -> None:
    """Every event that both write is the same message, images to the last byte."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.utils.tensorboard import SummaryWriter as Theirs
    with Theirs(tmp_path / "torch") as theirs, SummaryWriter(tmp_path / "ours") as ours:
        for writer in (theirs, ours):
            writer.add_tensor = lambda *args: None  # torch's takes no arrays
            writer.add_video = lambda *args: None  # torch needs moviepy
            write_everything(writer)
            del writer.add_tensor, writer.add_video
            writer.add_tensor("t", torch.arange(6.0).reshape(2, 3), 7)
            writer.add_tensor("complex", torch.ones(2, dtype=torch.complex64), 7)
            writer.add_scalar("bf16", torch.tensor(1.5, dtype=torch.bfloat16), 7)
            writer.add_image("grad", torch.rand(1, 4, 4).fill_(0.3).requires_grad_(), 7)
            writer.add_hparams({"lr": 0.1, "s": "x", "b": True}, {"m": 1.0}, {"s": ["x", "y"]}, "h")
    for run in (".", "h"):
        want, got = ([*map(plain, logged(tmp_path / who / run))] for who in ("torch", "ours"))
        assert len(want) == len(got) and len(got) > 3
        for theirs_event, ours_event in zip(want, got, strict=True):
            assert theirs_event == ours_event


def plain(event: Any) -> Any:
    """An event without what differs between runs; the map of hyper-parameters has no order."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    event.wall_time = 0.0
    event.ClearField("source_metadata")
    for value in event.summary.value:
        plugin = value.metadata.plugin_data
        if plugin.plugin_name == "hparams":
            content = HParamsPluginData.FromString(plugin.content)
            plugin.content = content.SerializeToString(deterministic=True)
    return event


def test_torch_files_read_here(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch")
    from torch.utils.tensorboard import SummaryWriter as Theirs

    with Theirs(str(tmp_path)) as writer:
        writer.add_scalar("loss", 0.5, 3)
        writer.add_text("note", "hello", 4)
    reader = EventReader(tmp_path)
    assert reader.scalars("loss")[0][1:] == (3, 0.5)
    assert reader.texts("note/text_summary")[0].value == "hello"


def test_embedding_files_as_torch(tmp_path: pathlib.Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.tensorboard import SummaryWriter as Theirs

    points, images = torch.arange(12.0).reshape(4, 3) / 7, torch.rand(4, 3, 5, 5)
    for name, kind in (("torch", Theirs), ("ours", SummaryWriter)):
        with kind(str(tmp_path / name)) as writer:
            writer.add_embedding(points, ["a", 2, "c", "d"], images, 3, "Tag/1")
    for file in ("tensors.tsv", "metadata.tsv", "sprite.png"):
        ours, theirs = (tmp_path / n / "00003" / "Tag%2f1" / file for n in ("ours", "torch"))
        assert ours.read_bytes() == theirs.read_bytes()
    ours, theirs = (tmp_path / n / "projector_config.pbtxt" for n in ("ours", "torch"))
    assert ours.read_text() == theirs.read_text()

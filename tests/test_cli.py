"""The main job in small, the embedded data set, the report, and what happens when things fail."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rushlight.cli import main, shapes

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["--epochs", "2", "--train-size", "400", "--validation-size", "100", "--batch-size", "50"]


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSHLIGHT_LANG", "en")


# The embedded data set


def test_shapes_come_from_the_seed() -> None:
    images, labels = shapes.make(50, 3)
    again, same_labels = shapes.make(50, 3)
    assert images.shape == (50, 32, 32, 3)
    assert images.dtype == np.uint8
    assert np.array_equal(images, again)
    assert np.array_equal(labels, same_labels)
    other, _ = shapes.make(50, 4)
    assert not np.array_equal(images, other)


def test_shapes_are_balanced() -> None:
    _, labels = shapes.make(200, 0)
    assert np.bincount(labels, minlength=10).tolist() == [20] * 10
    assert len(shapes.CLASSES) == 10


def test_training_and_validation_share_no_image() -> None:
    train, _ = shapes.make(1000, (0, 0))
    held, _ = shapes.make(300, (0, 1))
    assert not {i.tobytes() for i in train} & {i.tobytes() for i in held}


def test_shapes_are_made_quickly() -> None:
    start = time.process_time()
    shapes.make(1000, 0)
    assert time.process_time() - start < 5  # measured: 0.2 s


def test_a_linear_model_stays_below_half() -> None:
    """Softmax regression on pixels, the best of all iterations on the validation images."""
    train, labels = shapes.make(6000, (0, 0))
    held, truth = shapes.make(1000, (0, 1))
    mean, scale = train.mean(axis=(0, 1, 2)), train.std()
    x = ((train - mean) / scale).reshape(len(train), -1).astype(np.float32)
    z = ((held - mean) / scale).reshape(len(held), -1).astype(np.float32)
    wanted = np.eye(10, dtype=np.float32)[labels]
    weight = np.zeros((x.shape[1], 10), np.float32)
    speed = np.zeros_like(weight)
    best = fitted = 0.0
    for _ in range(60):
        scores = x @ weight
        chance = np.exp(scores - scores.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        speed = 0.9 * speed - 0.004 * (x.T @ (chance - wanted)) / len(x)
        weight += speed
        best = max(best, float(((z @ weight).argmax(axis=1) == truth).mean()))
        fitted = float((scores.argmax(axis=1) == labels).mean())
    assert fitted > 0.15  # it does learn what it can
    assert best < 0.5


# The main job


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished run."""
    out = tmp_path_factory.mktemp("runs")
    assert run_afresh(["train", *SMALL, "--out", str(out)]) == 0
    (folder,) = out.iterdir()
    return folder


def run_afresh(arguments: list[str]) -> int:
    """Runs a command as if nothing had been compiled yet; rounding depends on what is."""
    import rushlight as rl

    rl.compiler.reset()
    return main(arguments)


def test_train_leaves_three_files(finished: Path) -> None:
    names = sorted(path.name for path in finished.iterdir())
    assert names[0].startswith("events.out.tfevents.")
    assert names[1:] == ["model.pth", "report.html"]


def test_saved_weights_load(finished: Path) -> None:
    import rushlight as rl
    from rushlight.cli.models import ConvNet

    state = rl.load(str(finished / "model.pth"))
    net = ConvNet((16, 32, 64, 64), classes=10)
    assert str(net.load_state_dict(state)) == "<All keys matched successfully>"
    assert all(bool(rl.isfinite(value).all()) for value in state.values())


def test_report_stands_alone(finished: Path) -> None:
    html = (finished / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "http" not in html.replace("http-equiv", "")
    assert "<script" not in html
    assert html.count("<svg") == 3  # loss, accuracy, confusion matrix
    assert html.count("data:image/png;base64,") == 32
    for name in shapes.CLASSES:
        assert name in html
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)


def test_confusion_matrix_counts_every_image(finished: Path) -> None:
    html = (finished / "report.html").read_text(encoding="utf-8")
    counts = [int(n) for n in re.findall(r"taken for [^:<]+: (\d+)</title>", html)]
    assert len(counts) == 100
    assert sum(counts) == 100


def test_event_file_holds_the_curves(finished: Path) -> None:
    pytest.importorskip("tensorboard")
    program = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "a = EventAccumulator(sys.argv[1]); a.Reload()\n"
        "print(*[(t, [e.step for e in a.Scalars(t)]) for t in sorted(a.Tags()['scalars'])])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(finished)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (
        "('accuracy/training', [1, 2]) ('accuracy/validation', [1, 2]) "
        "('loss/training', [1, 2]) ('loss/validation', [1, 2])"
    )


def test_train_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "--epochs", "1", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "epoch 1/1  training: loss" in out
    for part in ("validation accuracy", "report.html", "tensorboard --logdir", "model.pth"):
        assert part in out


def test_same_seed_same_weights(tmp_path: Path, finished: Path) -> None:
    import rushlight as rl

    assert run_afresh(["train", *SMALL, "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    first, second = (rl.load(str(f / "model.pth")) for f in (finished, folder))
    assert all(rl.equal(first[name], second[name]) for name in first)


def test_chinese(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUSHLIGHT_LANG", "zh")
    assert main(["train", *SMALL, "--epochs", "1", "--out", str(tmp_path)]) == 0
    assert "验证准确率" in capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in html
    assert "混淆矩阵" in html


def test_every_message_has_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    from rushlight.cli import messages

    fields = re.compile(r"{(\w+)")
    for key, (english_text, chinese_text) in messages._MESSAGES.items():
        assert sorted(fields.findall(english_text)) == sorted(fields.findall(chinese_text)), key
    for name in ("RUSHLIGHT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert messages.language() == "zh"
    monkeypatch.setenv("RUSHLIGHT_LANG", "en")
    assert messages.language() == "en"


# Data that is not there


def test_cifar10_needs_a_root(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "--data", "cifar10", "--out", str(tmp_path / "runs")]) == 2
    assert "--root DIR" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_missing_cifar10_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    status = main(["train", "--data", "cifar10", "--root", str(tmp_path), "--out", str(out)])
    said = capsys.readouterr().err
    assert status == 2
    assert "Dataset not found or corrupted" in said
    assert "--download" in said
    assert "No other data is used" in said
    assert not out.exists()


def write_cifar10(root: Path, count: int) -> None:
    """Made-up images in the format of CIFAR-10."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
    for number, name in enumerate(names):
        images, labels = shapes.make(count, number)
        rows = images.transpose(0, 3, 1, 2).reshape(count, -1)
        batch = {"batch_label": name, "labels": labels.tolist(), "data": rows, "filenames": []}
        batch["filenames"] = [f"{i}.png" for i in range(count)]
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {"label_names": list("abcdefghij"), "num_vis": 3072, "num_cases_per_batch": count}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


def test_cifar10_trains_on_what_lies_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cifar10(tmp_path / "data", 40)
    where = ["--root", str(tmp_path / "data"), "--out", str(tmp_path / "runs")]
    assert main(["train", "--data", "cifar10", *where, "--epochs", "1"]) == 0
    assert "CIFAR-10: 200 training and 40 validation images" in capsys.readouterr().out


# Ctrl-C


def train_process(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "rushlight.cli", "train", *arguments, "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, RUSHLIGHT_LANG="en", PYTHONPATH=str(ROOT)),
    )


@pytest.mark.skipif(os.name == "nt", reason="a console's Ctrl-C cannot be sent to one process")
def test_interrupt_keeps_what_was_learned(tmp_path: Path) -> None:
    import rushlight as rl

    small = ["--train-size", "400", "--validation-size", "50", "--epochs", "500"]
    with train_process(tmp_path, *small) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        begun = any(line.startswith("epoch 1/500") for line in lines)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert begun, errors
    assert process.returncode == 130, errors
    assert "interrupted: the model as it is after" in rest
    assert "Traceback" not in errors
    (folder,) = tmp_path.iterdir()
    assert not list(folder.glob("*.part"))
    assert "features.0.weight" in rl.load(str(folder / "model.pth"))
    assert "This run was interrupted" in (folder / "report.html").read_text(encoding="utf-8")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from rushlight.version import rushlight_version

    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"rushlight {rushlight_version}\n"


@pytest.mark.parametrize(
    "arguments", [["--epochs", "0"], ["--batch-size", "-3"], ["--lr", "nan"], ["--seed", "-1"]]
)
def test_wrong_options_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", *arguments])
    assert stop.value.code == 2
    assert "usage: rushlight train" in capsys.readouterr().err


# The example


def test_example_prints_what_torch_prints(tmp_path: Path) -> None:
    """The plain script under both, on made-up images: each loss to 1e-4."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs real torch")
    write_cifar10(tmp_path, 100)
    script = str(ROOT / "examples" / "cifar10.py")
    arguments = ["--root", str(tmp_path), "--steps", "20", "--every", "1", "--momentum", "0.9"]
    prelude = (
        "import sys, runpy, conftest, torchvision.datasets.cifar as c\n"
        "c.CIFAR10._check_integrity = lambda self: True\n"
        "c.check_integrity = lambda *a: True\n"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    printed = []
    for start in (["-m", "rushlight"], ["-W", "ignore", "-c", prelude]):
        done = subprocess.run(
            [sys.executable, *start, script, *arguments],
            capture_output=True,
            text=True,
            env=dict(os.environ, PYTHONPATH=path),
        )
        assert done.returncode == 0, done.stderr
        printed.append([float(line.split()[-1]) for line in done.stdout.splitlines()])
    assert len(printed[0]) == 20
    assert printed[0] == pytest.approx(printed[1], abs=1e-4)

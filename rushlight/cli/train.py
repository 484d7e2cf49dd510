"""`rushlight train`: an ordinary training program with progress bar, validation pass and report.

In: the command's options. Out: in `runs/<time>/` the weights (model.pth), a TensorBoard event file
and report.html; an exit status. Files appear whole or not at all; Ctrl-C keeps what was learned.

The recipe: SGD with Nesterov momentum and weight decay under the one-cycle schedule
(L. Smith and N. Topin, "Super-Convergence", 2018).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import rushlight as rl
from rushlight import nn
from rushlight.cli.data import DataMissing, ImageBatches, Task, load
from rushlight.cli.messages import say
from rushlight.cli.models import ConvNet
from rushlight.cli.report import Epoch, Run, Sample, render
from rushlight.serialization.atomic import atomic_write
from rushlight.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler
from rushlight.utils.tensorboard import SummaryWriter
from rushlight.version import rushlight_version

__all__ = ["DataMissing", "train"]

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
SAMPLES_SHOWN = 32


def _loader(data: ImageBatches, batch_size: int, workers: int, shuffle: bool) -> Any:
    """A loader that asks the data set for whole batches."""
    order = RandomSampler(data) if shuffle else SequentialSampler(data)
    batches = BatchSampler(order, batch_size, drop_last=False)
    return DataLoader(data, sampler=batches, batch_size=None, num_workers=workers)


def _new_folder(parent: Path) -> Path:
    """Makes `parent/<time>`, with a number behind it where two runs share a second."""
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    for attempt in range(1000):
        folder = parent / (name if attempt == 0 else f"{name}-{attempt + 1}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"a thousand runs are called {name}")


class _Trainer:
    """One run: the network, its optimiser, the record of what happened."""

    def __init__(self, task: Task, options: argparse.Namespace, folder: Path) -> None:
        self.task = task
        self.folder = folder
        self.epochs: int = options.epochs or task.epochs
        batch_size: int = options.batch_size or task.batch_size
        lr: float = options.lr or task.lr
        rl.manual_seed(options.seed)
        rl.compiler.reset()  # the same bits, whatever this process did before
        self.model = ConvNet(task.widths, len(task.classes), dropout=task.dropout)
        self.training = _loader(task.train, batch_size, options.workers, shuffle=True)
        self.validation = _loader(task.validation, 250, 0, shuffle=False)
        self.steps = len(self.training)
        self.optimizer = rl.optim.SGD(
            self.model.parameters(),
            lr=lr,
            momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY,
            nesterov=True,
        )
        self.schedule = rl.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=lr, total_steps=self.epochs * self.steps
        )
        settings: dict[str, object] = {
            "data": f"{task.name}: {len(task.train)} + {len(task.validation)}",
            "widths": " ".join(map(str, task.widths)),
            "epochs": self.epochs,
            "batch size": batch_size,
            "learning rate": lr,
            "momentum": MOMENTUM,
            "weight decay": WEIGHT_DECAY,
            "seed": options.seed,
            "rushlight": rushlight_version,
        }
        self.run = Run(
            name=task.name,
            classes=task.classes,
            when=time.strftime("%Y-%m-%d %H:%M"),
            settings=settings,
            parameters=sum(p.numel() for p in self.model.parameters()),
            steps_per_epoch=self.steps,
        )

    @property
    def model_path(self) -> Path:
        return self.folder / "model.pth"

    def train_epoch(self, bar: Any) -> tuple[float, float]:
        """One pass over the training data; mean loss and accuracy."""
        self.model.train()
        loss_sum = correct = seen = 0.0
        for images, labels in self.training:
            scores = self.model(images)
            loss = nn.functional.cross_entropy(scores, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            value = loss.item()
            self.run.step_losses.append(value)
            correct += int((scores.argmax(1) == labels).sum())
            seen += len(labels)
            loss_sum += value * len(labels)
            shown = {
                say("loss"): f"{loss_sum / seen:.3f}",
                say("accuracy"): f"{correct / seen:.1%}",
            }
            bar.set_postfix(shown, refresh=False)
            bar.update()
        return loss_sum / seen, correct / seen

    def validate(self) -> tuple[float, npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Mean loss, predicted classes (N,) and the confidence in each (N,)."""
        self.model.eval()
        loss_sum, said, confidence = 0.0, [], []
        with rl.no_grad():
            for images, labels in self.validation:
                scores = self.model(images)
                loss_sum += nn.functional.cross_entropy(scores, labels, reduction="sum").item()
                best, choice = scores.softmax(1).max(1)
                said.append(choice.numpy())
                confidence.append(best.numpy())
        count = len(self.task.validation)
        return loss_sum / count, np.concatenate(said), np.concatenate(confidence)

    def record(self, train_loss: float, train_accuracy: float, writer: Any) -> Epoch:
        """Validates and notes one epoch: curves, confusion matrix, samples, event file."""
        loss, said, confidence = self.validate()
        truth = self.task.validation.labels
        epoch = Epoch(train_loss, train_accuracy, loss, float((said == truth).mean()))
        self.run.epochs.append(epoch)
        kinds = len(self.task.classes)
        pairs = np.bincount(truth * kinds + said, minlength=kinds * kinds)
        self.run.confusion = pairs.reshape(kinds, kinds)
        wrong, right = np.flatnonzero(said != truth), np.flatnonzero(said == truth)
        hits = right[: SAMPLES_SHOWN - min(len(wrong), SAMPLES_SHOWN // 2)]
        shown = np.concatenate([wrong[: SAMPLES_SHOWN - len(hits)], hits])
        images = self.task.validation.images
        self.run.samples = [
            Sample(images[i], int(truth[i]), int(said[i]), float(confidence[i])) for i in shown
        ]
        number = len(self.run.epochs)
        writer.add_scalar("loss/training", train_loss, number)
        writer.add_scalar("loss/validation", loss, number)
        writer.add_scalar("accuracy/training", train_accuracy, number)
        writer.add_scalar("accuracy/validation", epoch.accuracy, number)
        writer.flush()
        return epoch

    def fit(self, bar: Any, writer: Any) -> None:
        """All epochs; the weights are saved after each."""
        for now in range(1, self.epochs + 1):
            bar.set_description(say("epoch", now=now, all=self.epochs), refresh=False)
            epoch = self.record(*self.train_epoch(bar), writer)
            self.save()
            line = say(
                "epoch_done",
                now=now,
                all=self.epochs,
                loss=epoch.train_loss,
                accuracy=epoch.train_accuracy,
                val_loss=epoch.loss,
                val_accuracy=epoch.accuracy,
            )
            bar.write(line, file=sys.stdout)

    def save(self) -> None:
        """Saves the weights; what is there already stays until the new file is complete."""
        rl.save(self.model.state_dict(), self.model_path)

    def report(self) -> Path | None:
        """Writes report.html if there is an epoch to report."""
        if not self.run.epochs:
            return None
        path = self.folder / "report.html"
        with atomic_write(path) as file:
            file.write(render(self.run).encode("utf-8"))
        return path


def _progress(total: int) -> Any:
    """A progress bar for all steps; where nobody watches a terminal it speaks every ten seconds."""
    from tqdm import tqdm

    watched = sys.stderr.isatty()
    return tqdm(
        total=total,
        unit="step",
        mininterval=0.1 if watched else 10.0,
        dynamic_ncols=watched,
        ncols=None if watched else 100,
    )


def _shown(program: Path) -> str:
    """A program by name if the PATH leads to it, else by its path from here."""
    found = shutil.which(program.name)
    if found is not None and Path(found) == program:
        return program.stem
    try:
        path = os.path.relpath(program)
    except ValueError:  # on another drive
        return str(program)
    return str(program) if path.startswith(os.pardir) else path


def _commands() -> tuple[str, str]:
    """What to type for `rushlight` and for the Python that has it."""
    executable = Path(sys.executable)
    script = executable.with_name("rushlight" + executable.suffix)
    python = _shown(executable)
    return (_shown(script) if script.exists() else f"{python} -m rushlight.cli"), python


def _closing(trainer: _Trainer, report: Path | None, out: Path) -> None:
    """Says what was left where, and what to do next."""
    folder = trainer.folder
    print(say("left", folder=folder))
    print(f"  {trainer.model_path.name:16} {say('left_model')}")
    for events in sorted(folder.glob("events.out.tfevents.*"))[:1]:
        print(f"  {events.name[:13] + '...':16} {say('left_events')}")
    if report is not None:
        print(f"  {report.name:16} {say('left_report')}: {report.resolve().as_uri()}")
    print(say("next"))
    print(f"  {say('next_tensorboard', out=out)}")
    print(f"  {say('next_load', model=trainer.model_path.as_posix())}")
    rushlight, python = _commands()
    if trainer.task.name == "shapes":
        print(f"  {say('next_cifar', rushlight=rushlight)}")
    print(f"  {say('next_script', python=python)}")


def train(options: argparse.Namespace) -> int:
    """Trains as the options say.

    Args:
        options: what `rushlight train` takes; see `rushlight train --help`.

    Returns:
        0, or 130 if Ctrl-C ended the run early; what was learned is saved then too.

    Raises:
        DataMissing: the data set is not there.
    """
    start = time.perf_counter()
    task = load(options)
    out = Path(options.out)
    sizes = {"train": len(task.train), "validation": len(task.validation)}
    print(say("task", name=task.name, classes=len(task.classes), **sizes))
    folder = _new_folder(out)
    trainer = _Trainer(task, options, folder)
    run = trainer.run
    batch = run.settings["batch size"]
    print(say("network", parameters=run.parameters, epochs=trainer.epochs, batch=batch), flush=True)
    total = trainer.epochs * trainer.steps
    with SummaryWriter(str(folder)) as writer, _progress(total) as bar:
        try:
            trainer.fit(bar, writer)
        except KeyboardInterrupt:
            run.interrupted = True
    run.seconds = time.perf_counter() - start
    if run.interrupted and not run.step_losses:
        print(say("interrupted_early"))
        return 130
    if run.interrupted:
        trainer.save()
        print(say("interrupted", steps=len(run.step_losses), path=trainer.model_path))
    else:
        print(say("done", accuracy=run.epochs[-1].accuracy, seconds=run.seconds))
    _closing(trainer, trainer.report(), out)
    return 130 if run.interrupted else 0

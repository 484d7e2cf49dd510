"""report.html: one self-contained page about a training run.

In: a `Run`, the record that the trainer keeps. Out: HTML text with inline SVG (curves, confusion
matrix) and inline PNG (sample predictions); no script, nothing loaded from elsewhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
import numpy.typing as npt

from rushlight.cli.messages import language, say
from rushlight.cli.svg import confusion_matrix, line_chart

__all__ = ["Epoch", "Run", "Sample", "render"]


@dataclass(frozen=True)
class Epoch:
    """What one pass over the data came to."""

    train_loss: float
    train_accuracy: float
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Sample:
    """One validation image and what the network said: indices of classes, confidence in 0..1."""

    image: npt.NDArray[np.uint8]
    truth: int
    said: int
    confidence: float


@dataclass
class Run:
    """The record of a training run."""

    name: str
    classes: Sequence[str]
    when: str
    settings: dict[str, object]
    parameters: int
    steps_per_epoch: int
    step_losses: list[float] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    confusion: npt.NDArray[np.int64] | None = None
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


_STYLE = """
:root { --page: #f6f5f1; --card: #fff; --ink: #1f2328; --soft: #6b7280; --rule: #e6e4dd;
  --first: #c2571a; --second: #1f6f8b; --hit: #1f6f8b; --miss: #c2571a; color-scheme: light dark }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --card: #1e2125; --ink: #e8e6e1;
  --soft: #9aa1ab; --rule: #2f343a; --first: #f0924f; --second: #58b4d1; --hit: #3d93b0;
  --miss: #e07b3c } }
* { box-sizing: border-box }
body { margin: 0; padding: 32px 20px 48px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "PingFang SC", "Microsoft YaHei", sans-serif }
main { max-width: 1020px; margin: auto; display: grid; gap: 18px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)) }
header, .wide { grid-column: 1 / -1 }
h1 { margin: 0; font-size: 27px; letter-spacing: -.01em } h2 { margin: 0 0 4px; font-size: 16px }
p { margin: 0 0 10px; color: var(--soft) }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px;
  padding: 18px }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px }
.figures b { display: block; font-size: 26px; font-variant-numeric: tabular-nums; font-weight: 650 }
.figures span { color: var(--soft) }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--soft); font-size: 12px }
.matrix { max-width: 620px; margin: auto } .matrix text.on { fill: #fff }
.grid { stroke: var(--rule) } polyline { fill: none; stroke-width: 2.2; stroke-linejoin: round }
polyline.first { stroke: var(--first) } polyline.second { stroke: var(--second) }
polyline.faint { stroke: var(--first); stroke-width: 1; opacity: .3 }
circle.first { fill: var(--first) } circle.second { fill: var(--second) }
rect.hit { fill: var(--hit) } rect.miss { fill: var(--miss) }
.key { display: flex; gap: 16px; color: var(--soft); font-size: 13px; margin-bottom: 6px }
.key i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin: 0 6px 4px 0 }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 12px }
figure { margin: 0; font-size: 13px; line-height: 1.35 }
figure img { width: 100%; aspect-ratio: 1; border-radius: 8px; image-rendering: pixelated;
  border: 2px solid transparent }
figure.wrong img { border-color: var(--miss) } figure.wrong b { color: var(--miss) }
figcaption span { color: var(--soft); display: block }
table { border-collapse: collapse } td { padding: 2px 18px 2px 0 }
td:first-child { color: var(--soft) }
"""


def _png(image: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _key() -> str:
    pairs = (("first", say("r_training")), ("second", say("r_validation")))
    items = (f'<span><i style="background:var(--{s})"></i>{escape(t)}</span>' for s, t in pairs)
    return f'<div class="key">{"".join(items)}</div>'


def _figures(run: Run) -> str:
    last = run.epochs[-1]
    values = [
        (f"{last.accuracy:.2%}", "r_accuracy"),
        (f"{last.loss:.4f}", "r_loss"),
        (say("r_seconds", seconds=run.seconds), "r_time"),
        (f"{run.parameters:,}", "r_parameters"),
    ]
    cells = (f"<div><b>{escape(v)}</b><span>{escape(say(k))}</span></div>" for v, k in values)
    return f'<section class="wide figures">{"".join(cells)}</section>'


def _smooth(losses: Sequence[float], points: int) -> list[tuple[int, float]]:
    """At most `points` means of neighbouring losses, each at the step where it ends."""
    size = max(1, -(-len(losses) // points))
    chunks = ((end, losses[end - size : end]) for end in range(size, len(losses) + 1, size))
    return [(end, sum(chunk) / len(chunk)) for end, chunk in chunks]


def _curves(run: Run) -> str:
    numbered = list(enumerate(run.epochs, start=1))
    faint = [(s / run.steps_per_epoch, loss) for s, loss in _smooth(run.step_losses, 240)]
    shown = [loss for _, loss in faint] + [v for e in run.epochs for v in (e.train_loss, e.loss)]
    top = 1.05 * max([v for v in shown if np.isfinite(v)], default=1.0)
    training, validation = say("r_training"), say("r_validation")
    loss = line_chart(
        [
            (training, "faint", faint),
            (training, "first", [(n, e.train_loss) for n, e in numbered]),
            (validation, "second", [(n, e.loss) for n, e in numbered]),
        ],
        say("r_epoch"),
        (0.0, top or 1.0),
    )
    accuracy = line_chart(
        [
            (training, "first", [(n, e.train_accuracy) for n, e in numbered]),
            (validation, "second", [(n, e.accuracy) for n, e in numbered]),
        ],
        say("r_epoch"),
        (0.0, 1.0),
        percent=True,
    )
    pairs = ((say("loss"), loss), (say("accuracy"), accuracy))
    return "".join(
        f"<section><h2>{escape(t.capitalize())}</h2>{_key()}{c}</section>" for t, c in pairs
    )


def _matrix(run: Run) -> str:
    if run.confusion is None:
        return ""
    pattern = say("r_row", truth="{truth}", said="{said}", count="{count}")
    drawing = confusion_matrix(run.confusion, run.classes, pattern)
    return (
        f'<section class="wide"><h2>{escape(say("r_confusion"))}</h2>'
        f"<p>{escape(say('r_confusion_text'))}</p>"
        f'<div class="matrix">{drawing}</div></section>'
    )


def _samples(run: Run) -> str:
    figures = []
    for sample in run.samples:
        said, truth = escape(run.classes[sample.said]), run.classes[sample.truth]
        wrong = sample.said != sample.truth
        note = f"<span>{escape(say('r_truth', name=truth))}</span>" if wrong else ""
        figures.append(
            f'<figure{" class=wrong" if wrong else ""}><img alt="{escape(truth)}" '
            f'src="{_png(sample.image)}"><figcaption><b>{said}</b> {sample.confidence:.0%}{note}'
            "</figcaption></figure>"
        )
    return (
        f'<section class="wide"><h2>{escape(say("r_samples"))}</h2>'
        f"<p>{escape(say('r_samples_text'))}</p>"
        f'<div class="samples">{"".join(figures)}</div></section>'
    )


def _settings(run: Run) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>"
        for name, value in run.settings.items()
    )
    return (
        f'<section class="wide"><h2>{escape(say("r_settings"))}</h2><table>{rows}</table></section>'
    )


def render(run: Run) -> str:
    """The page as HTML text.

    Args:
        run: the record of a run with at least one completed epoch.
    """
    note = f"<p>{escape(say('r_interrupted'))}</p>" if run.interrupted else ""
    code = "zh-CN" if language() == "zh" else "en"
    return (
        f'<!doctype html><html lang="{code}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(say('title'))} · {escape(run.name)}</title><style>{_STYLE}</style></head>"
        f"<body><main><header><h1>{escape(say('title'))}</h1>"
        f"<p>{escape(say('subtitle', name=run.name, when=run.when))}</p>{note}</header>"
        f"{_figures(run)}{_curves(run)}{_matrix(run)}{_samples(run)}{_settings(run)}"
        "</main></body></html>\n"
    )

"""The `rushlight` command: verbs, their options, and the exit status.

In: command-line arguments. Out: an exit status: 0 done, 2 wrong use or missing data, 130
interrupted. Verbs load what they need when they run, so that `rushlight --version` stays instant.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]


def _add_train(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = verbs.add_parser(
        "train",
        help="train a small convolutional network and write a report",
        description="Trains a small convolutional network and leaves in runs/<time>/ the model, "
        "a TensorBoard event file and report.html. Without options: the embedded shapes, "
        "under a minute, nothing to download.",
    )
    train.add_argument("--data", choices=("shapes", "cifar10"), default="shapes")
    train.add_argument("--root", metavar="DIR", help="where the data set lies (cifar10)")
    train.add_argument(
        "--download", action="store_true", help="fetch the data set into --root if it is missing"
    )
    train.add_argument("--epochs", type=_positive, help="passes over the training data")
    train.add_argument("--batch-size", type=_positive, help="images a step")
    train.add_argument("--lr", type=_rate, help="highest learning rate of the schedule")
    train.add_argument("--seed", type=_natural, default=0, help="seed of data, weights and order")
    train.add_argument("--workers", type=_natural, default=0, help="processes that prepare batches")
    train.add_argument("--train-size", type=_positive, help="use so many training images")
    train.add_argument("--validation-size", type=_positive, help="use so many validation images")
    train.add_argument("--out", metavar="DIR", default="runs", help="where runs are kept")


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is below zero")
    return value


def _positive(text: str) -> int:
    value = _natural(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is not above zero")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _parser() -> argparse.ArgumentParser:
    from rushlight.version import rushlight_version

    parser = argparse.ArgumentParser(
        prog="rushlight",
        description="rushlight: deep learning in pure Python, with PyTorch's API.",
        epilog="To run a PyTorch script as it stands: python -m rushlight SCRIPT [ARGS]",
    )
    parser.add_argument("--version", action="version", version=f"rushlight {rushlight_version}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _add_train(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
        arguments: the command line without the program's name; default `sys.argv[1:]`.

    Returns:
        The exit status.

    Example:
        >>> main(["train", "--data", "cifar10"])  # says where the data set should lie
        2
    """
    options = _parser().parse_args(arguments)
    from rushlight.cli.train import DataMissing, train  # NumPy and all: only now

    try:
        return train(options)
    except DataMissing as error:
        print(f"rushlight: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before training began, or a second one while results were written
        return 130

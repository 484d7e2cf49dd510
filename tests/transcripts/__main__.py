"""Records transcripts anew from real torch: `python -m tests.transcripts --record FILE...`."""

import argparse
from importlib import import_module
from pathlib import Path

from tests.transcripts import record

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--record", nargs="+", type=Path, required=True)
parser.add_argument("--module", default="torch", help="what plays torch")
given = parser.parse_args()
for file in given.record:
    record(file, import_module(given.module))

"""`python -m rushlight.cli VERB` is the `rushlight` command where no script is installed."""

import sys

from rushlight.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m rushlight``: runs PyTorch scripts as they stand, or one of rushlight's own verbs.

In: the command line. Out: the exit status. Source: ``rushlight.alias.run``.
"""

import sys

from rushlight.alias.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

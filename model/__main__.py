"""`python -m model`."""

import os
import sys

# Threads that wait for each other must sleep: on a busy machine, spinning makes training ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from model.cli import main  # the libraries read the environment when they are loaded

if __name__ == "__main__":
    sys.exit(main())

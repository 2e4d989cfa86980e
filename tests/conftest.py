"""What every test run has in common: the same random cases each time."""

import os
from pathlib import Path

from hypothesis import settings

from sim.verilator import CACHE

ROOT = Path(__file__).parents[1]
os.environ.setdefault(CACHE, str(ROOT / "build/verilator"))  # one place, whatever folder a test runs in
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `python -m model` does, before torch is loaded

settings.register_profile(
    "intandem",
    derandomize=True,
    database=None,
    deadline=None,  # a first call compiles or fills a cache
    print_blob=True,
)
settings.load_profile("intandem")

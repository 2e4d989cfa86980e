"""What every test run has in common: the same random cases each time."""

from hypothesis import settings

settings.register_profile(
    "intandem",
    derandomize=True,
    database=None,
    deadline=None,  # a first call compiles or fills a cache
    print_blob=True,
)
settings.load_profile("intandem")

"""Files: read within limits, written whole, held by one process at a time, and made once.

Every artefact that is used again because it exists goes through here: builds, compiled simulations,
netlists, routed designs, training runs, decoded pictures. Whenever a run is killed, the next one finds each
of them whole, or makes it again.
"""

from codegen.files._artefact import made, put, user_cache
from codegen.files._atomic import write_atomically
from codegen.files._lock import held, scratch
from codegen.files._reading import parse_json, parse_toml, read_bytes, read_json, read_toml
from codegen.files._stamp import digest_of, is_stamped, stamp
from codegen.files._typed import Range, decoded, encoded

__all__ = [
    "Range",
    "decoded",
    "digest_of",
    "encoded",
    "held",
    "is_stamped",
    "made",
    "parse_json",
    "parse_toml",
    "put",
    "read_bytes",
    "read_json",
    "read_toml",
    "scratch",
    "stamp",
    "user_cache",
    "write_atomically",
]

"""The SHA-256 and the number of lines of a file: a function for `potok map`.

    potok map examples/hash_stdlib.py:digest "/usr/lib/python3.11/**/*.py" --progress -o out.jsonl

Reading a file and hashing it release the GIL, so threads share the work on any build of Python.
"""

import hashlib
from pathlib import Path


def digest(path: str) -> dict[str, str | int]:
    """Return the path of a file with the SHA-256 of its bytes and the number of its lines."""
    data = Path(path).read_bytes()
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "lines": len(data.splitlines())}

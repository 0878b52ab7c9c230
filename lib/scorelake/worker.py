"""What a Python worker of Spark pays between two tasks, made small.

At the start of a task Spark invalidates Python's import caches, upon which each finder of a package inside
`pyspark.zip` reads the archive's directory anew: 130 ms of CPU a task, as much as thirty thousand scores. At its end
it collects garbage, and walks through everything that was ever imported.
"""

from __future__ import annotations

import gc
import sys
import zipimport
from pathlib import Path

_SPARK = "pyspark.zip"
_at_rest: set[str] = set()


def rest() -> None:
    """To be called at the end of a task, when what it needs has been imported and loaded.

    Python makes the dropped finders again, from the directory that it has in memory, where an import needs one.
    Other archives may have changed between tasks and keep theirs.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimport.zipimporter) and Path(finder.archive).name == _SPARK:
            del sys.path_importer_cache[path]
    if not _at_rest:  # once a process: what became garbage before would otherwise stay for ever
        _at_rest.add(_SPARK)
        gc.collect()
        gc.freeze()

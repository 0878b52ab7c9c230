"""Functions of the team reach workers that have none of its folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pyspark import cloudpickle

from scorelake.transform import python


def test_a_function_travels_with_the_modules_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "python"
    folder.mkdir()
    (folder / "euros_of_ours.py").write_text("def euros(cents):\n    return cents / 100\n")
    (folder / "totals_of_ours.py").write_text(
        "from euros_of_ours import euros\n\ndef build(frame):\n    return euros(frame)\n"
    )
    pickled = tmp_path / "function"
    pickled.write_bytes(cloudpickle.dumps(python.load(tmp_path, "totals_of_ours:build")))

    program = f"import pickle; print(pickle.load(open({str(pickled)!r}, 'rb'))(250))"
    worker = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert worker.stdout == "2.5\n", worker.stderr

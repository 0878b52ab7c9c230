"""HTML reports in a folder or behind a URI; a page is there whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from scorelake.places import opened


def write(root: str, name: str, html: str) -> str:
    """Put the page at `<root>/<name>` and return its address. A reader never sees half of a local page."""
    if "://" not in root:
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        scratch.write_text(html, encoding="utf-8")
        os.replace(scratch, path)
        return str(path)
    filesystem, base = opened(root)
    with filesystem.open_output_stream(f"{base.rstrip('/')}/{name}") as stream:
        stream.write(html.encode("utf-8"))
    return f"{root.rstrip('/')}/{name}"


def read(root: str, name: str) -> str | None:
    """The text at `<root>/<name>`; None when there is none."""
    filesystem, base = opened(root)
    try:
        with filesystem.open_input_stream(f"{base.rstrip('/')}/{name}") as stream:
            return bytes(stream.read()).decode("utf-8")
    except FileNotFoundError:
        return None

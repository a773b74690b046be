"""Files of the pages, for those that hold everything in themselves."""

import base64
import hashlib
from importlib.resources import files


def static_file(name: str) -> str:
    """Return a file of the folder ``static`` as text."""
    return files("langrl.play").joinpath("static", name).read_text("utf-8")


def policy_hash(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or a style by."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"

"""Write what pip has resolved as requirements with hashes: lock.py REPORT REQUIREMENTS."""

import json
import sys
from pathlib import Path


def requirements(report: dict) -> str:
    """Return a line for each package of a report of pip, but for the project itself."""
    lines = {}
    for item in report["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        if hashes := item["download_info"].get("archive_info", {}).get("hashes"):
            lines[name.lower()] = f"{name}=={version} --hash=sha256:{hashes['sha256']}"
        elif "dir_info" not in item["download_info"]:  # the project itself is a folder
            raise SystemExit(f"{name} {version} has no hash; install it from an index")
    return "".join(f"{lines[name]}\n" for name in sorted(lines))


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(requirements(json.loads(source.read_text())))

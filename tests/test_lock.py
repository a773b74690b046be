"""What pip has resolved becomes requirements with hashes."""

import json
import subprocess
import sys

from documents import ROOT


def package(name, **info):
    return {"metadata": {"name": name, "version": "1.0"}, "download_info": info}


def write(folder, *packages):
    (folder / "report.json").write_text(json.dumps({"install": packages}))
    command = [sys.executable, str(ROOT / ".ci" / "lock.py"), "report.json", "locked.txt"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_each_package_has_its_hash_and_the_project_is_left_out(tmp_path):
    hashed = [
        package(name, archive_info={"hashes": {"sha256": letter * 64}})
        for name, letter in (("Zed", "a"), ("alpha", "b"))
    ]
    done = write(tmp_path, *hashed, package("langrl", dir_info={}))
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "locked.txt").read_text().splitlines()
    assert lines == [f"alpha==1.0 --hash=sha256:{'b' * 64}", f"Zed==1.0 --hash=sha256:{'a' * 64}"]


def test_a_package_without_a_hash_is_named(tmp_path):
    done = write(tmp_path, package("built", vcs_info={}))
    assert done.returncode == 1
    assert done.stderr == "built 1.0 has no hash; install it from an index\n"
    assert not (tmp_path / "locked.txt").exists()

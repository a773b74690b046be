"""Zips of Stable-Baselines3 with files or fields changed."""

import json
import zipfile


def change_zip(source, target, compression=zipfile.ZIP_STORED, **files):
    """Copy a zip with other content of some files; "_" stands for "." in their names."""
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {name.replace("_", "."): value for name, value in files.items()}
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, value in content.items():
            archive.writestr(name, value)
    return target


def read_data(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("data"))


def change_data(source, target, **fields):
    """Copy a zip with other fields of its JSON; tables are merged, and None takes a field out."""
    data = read_data(source)
    for name, value in fields.items():
        merged = isinstance(value, dict) and isinstance(data.get(name), dict)
        data[name] = data[name] | value if merged else value
        if value is None:
            del data[name]
    return change_zip(source, target, data=json.dumps(data))

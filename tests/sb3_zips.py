"""Zips of Stable-Baselines3 with files or fields changed."""

import base64
import json
import zipfile


def change_zip(source, target, compression=zipfile.ZIP_STORED, **files):
    """Copy a zip with other content of some files; "_" stands for "." in their names."""
    files = {name.replace("_", "."): value for name, value in files.items()}
    return rewritten(source, target, files, compression)


def rewritten(source, target, files, compression=zipfile.ZIP_STORED):
    """Copy a zip with other content of some files, by their names."""
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, value in (content | files).items():
            archive.writestr(name, value)
    return target


def with_pickled_fields(source, target, pickled, **files):
    """Copy a zip with a pickle in the place of each that is in its JSON, and with other files."""
    data = read_data(source)
    for value in data.values():
        if isinstance(value, dict) and ":serialized:" in value:
            value[":serialized:"] = base64.b64encode(pickled).decode()
    return rewritten(source, target, {"data": json.dumps(data)} | files)


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

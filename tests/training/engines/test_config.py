import pytest
from pydantic import ValidationError

from langrl.errors import MissingExtraError
from langrl.training.engines.config import EngineFlags, make_engine
from langrl.training.engines.local import LocalEngine


def test_the_default_is_this_machine(tmp_path):
    assert isinstance(make_engine(EngineFlags(), tmp_path), LocalEngine)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"ray_address": "a:1"}, "--ray-address is for --engine ray"),
        ({"engine": "ray", "slurm_minutes": 3}, "--slurm-minutes is for --engine slurm"),
        ({"engine": "slurm", "slurm_options": ("mem",)}, "'mem' is no NAME=VALUE"),
        ({"engine": "slurm", "slurm_options": ("--mem=8G",)}, "is no NAME=VALUE"),
        ({"workers": 0}, "greater than or equal to 1"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, said):
    with pytest.raises(ValidationError, match=said):
        EngineFlags(**flags)


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_whose_package_is_missing_names_its_extra(engine, package, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == package else object()
    )
    with pytest.raises(MissingExtraError, match=rf'pip install "langrl\[{engine}\]"'):
        make_engine(EngineFlags(engine=engine), tmp_path)

import json
import shutil

import pytest
from command_line import run_langrl

from langrl.checkpoint import MANIFEST, content_digest, read_checkpoint
from langrl.models.language_image.model import load_language_image_model

FEW = ["--worlds", "goto", "--evaluation-rooms", "2"]


@pytest.fixture
def model(tiny_language, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_language, folder)
    return folder


def test_a_model_without_p_understood_is_given_it(model, capsys):
    assert load_language_image_model(model).understanding is None
    before, held = content_digest(model), read_checkpoint(model)
    assert run_langrl("pretrain", "--calibrate", str(model), *FEW) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "P(understood) is fitted and stored in" in said
    assert "ROC AUC 0." in said or "ROC AUC 1." in said
    after = read_checkpoint(model)
    assert set(after.documents) == {*held.documents, "understood"}
    assert len(load_language_image_model(model).understanding.weights) == 8
    assert content_digest(model) == before  # agents that were trained with it still fit it
    first = (model / "understood.json").read_text()
    assert run_langrl("pretrain", "--calibrate", str(model), *FEW) == 0
    assert (model / "understood.json").read_text() == first
    assert not [path for path in model.parent.iterdir() if path.name.startswith(".")]


def test_a_damaged_fit_is_refused(model, capsys):
    assert run_langrl("pretrain", "--calibrate", str(model), *FEW) == 0
    (model / "understood.json").write_text(json.dumps({"weights": [1.0], "offset": 0.0}))
    assert run_langrl("pretrain", "--calibrate", str(model), *FEW) == 2
    assert "understood.json is damaged" in " ".join(capsys.readouterr().err.split())
    assert MANIFEST in {path.name for path in model.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "--calibrate nowhere: no model that langrl has stored; give 'bundled'"),
        (["bundled", "--out", "x"], "--calibrate stores what it fits beside the model"),
        (["bundled", "--wrlds", "goto"], "no flag --wrlds; did you mean --worlds?"),
        ([], "--calibrate needs a value"),
    ],
)
def test_what_cannot_be_calibrated_is_told_in_one_line(fails, arguments, message):
    assert message in fails("pretrain", "--calibrate", *arguments)

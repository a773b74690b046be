from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from langrl.training.logs import write_board

SETTINGS = {"seed": 3, "learner": {"steps": 20, "schedule": "cosine", "clip": None}}


def read_board(folder):
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    started = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = HParamsPluginData.FromString(started).session_start_info.hparams
    return events, {
        name: getattr(value, value.WhichOneof("kind")) for name, value in settings.items()
    }


def test_hyper_parameters_and_results_are_shown_together(tmp_path):
    rows = [
        {"method": "oracle", "success": 1.0, "spl": 0.5},
        {"method": "random", "success": 0.25, "spl": None},
    ]
    write_board(tmp_path, 20, SETTINGS, rows)
    events, settings = read_board(tmp_path)
    assert settings == {
        "seed": 3.0, "learner.steps": 20.0, "learner.schedule": "cosine", "learner.clip": "None",
    }  # fmt: skip
    assert {name: events.Scalars(name)[0].value for name in events.Tags()["scalars"]} == {
        "results/success/oracle": 1.0,
        "results/spl/oracle": 0.5,
        "results/success/random": 0.25,
    }
    assert events.Scalars("results/success/oracle")[0].step == 20


def test_a_run_without_methods_has_its_hyper_parameters(tmp_path):
    write_board(tmp_path, 20, SETTINGS, [{"world": "goto", "score": 1.0}])
    events, settings = read_board(tmp_path)
    assert settings["learner.steps"] == 20
    assert events.Tags()["scalars"] == []

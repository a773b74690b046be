import yaml

from langrl.benchmark.hub import write_eval_results
from langrl.evaluation.intervals import Interval

ROWS = [
    {"entrant": "mine", "intended": Interval(0.5, 0.4, 0.6, "Wilson"), "success": None},
    {"entrant": "../../a b", "intended": Interval(1.0, 0.9, 1.0, "Wilson")},
]


def test_each_entrant_has_a_file_of_the_hub(tmp_path):
    paths = write_eval_results(tmp_path, ROWS, ("intended", "success"), "langrl/Suite-v1", "run A")
    assert paths[0] == tmp_path / ".eval_results" / "mine.yaml"
    assert yaml.safe_load(paths[0].read_text()) == [
        {
            "dataset": {"id": "langrl/Suite-v1", "task_id": "intended"},
            "value": 0.5,
            "notes": "95 %: [0.400, 0.600], Wilson; run A",
        }
    ]


def test_no_name_leads_out_of_the_folder(tmp_path):
    paths = write_eval_results(tmp_path, ROWS, ("intended",), "langrl/Suite-v1", "run A")
    assert {path.parent for path in paths} == {tmp_path / ".eval_results"}
    assert all(path.is_file() for path in paths)

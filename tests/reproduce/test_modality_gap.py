import numpy as np
import pytest
import torch
from command_line import read_results
from PIL import Image

from langrl.errors import ConfigError
from langrl.reproduce import gap_claims, modality_gap
from langrl.reproduce.arguments import ModalityGapArguments
from langrl.reproduce.paired_towers import draw_views, mismatched, plain_network, train_towers
from langrl.tasks.maze.published import GAP_CLIP


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("gap")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 8))
    np.save(folder / "pairs.npy", np.stack([x, x + 0.3 * generator.normal(size=x.shape)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modality_gap, "TEMPERATURES", (0.01, 1.0))
        patch.setattr(modality_gap, "TOY_TEMPERATURES", (1.0, 0.01))
        options = ModalityGapArguments(
            out=folder, seeds=2, steps=60, features=folder / "pairs.npy", scale=5.0, workers=1
        )
        modality_gap.reproduce(options, "langrl reproduce modality-gap")
    return folder, read_results(folder)


def test_every_claim_is_a_row_with_a_verdict(run):
    rows = run[1]["rows"]
    assert all(set(row) == set(gap_claims.COLUMNS) for row in rows)
    assert all(
        isinstance(row["holds"], bool)
        for row in rows
        if not row["claim"].startswith("features") and row["expected"] != "no claim"
    )
    claims = [row["claim"] for row in rows]
    assert len(claims) == len(set(claims))
    for topic in ("cone of noise", "gap of two", "temperature", "mismatched", "toy", "features"):
        assert any(topic in text for text in claims), topic


def test_what_needs_no_training_holds(run):
    for row in run[1]["rows"]:
        if row["claim"].startswith(("cone", "gap of two", "gap of one", "toy")):
            assert row["holds"], row


def test_an_unknown_file_is_only_reported(run):
    rows = [row for row in run[1]["rows"] if row["claim"].startswith("features")]
    assert len(rows) > 10
    assert all(row["holds"] is None and row["reference"] is None for row in rows)


def test_there_are_figures(run):
    found = {path.stem: path for path in (run[0] / "figures").glob("*.png")}
    assert set(found) == {
        "depth", "temperature", "mismatches", "features-shifts", "features-projection"
    }  # fmt: skip
    for path in found.values():
        assert np.asarray(Image.open(path).convert("L")).std() > 5


def test_a_wrong_file_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(modality_gap, "run_parts", lambda *_: pytest.fail("trained"))
    with pytest.raises(ConfigError, match="--features"):
        modality_gap.reproduce(
            ModalityGapArguments(out=tmp_path, features=tmp_path / "none.npy"), ""
        )


def test_known_numbers_are_compared(tmp_path):
    assert {len(digest) for digest in GAP_CLIP} == {64}
    (tmp_path / "other").write_bytes(b"other")
    assert gap_claims.published_for(tmp_path / "other") == {}


def test_trainings_are_the_seeds(monkeypatch):
    one, same = (train_towers(0, 0.1, 3, 0.5, [0.0]) for _ in range(2))
    assert one == same
    assert one != train_towers(1, 0.1, 3, 0.5, [0.0])
    assert len(train_towers(0, 0.1, 2, 0.5, [0.3, 0.0])) == 3


def test_training_lowers_the_loss():
    before, after = train_towers(0, 0.2, 100, 0.5, [0.0])
    assert after["loss_0"] < before["loss_0"] - 1


def test_mismatches_are_a_share_of_the_pairs_and_lose_none():
    y = draw_views(torch.Generator().manual_seed(0), 0.5).y[:50]
    wrong = mismatched(y, 0.3, torch.Generator().manual_seed(0))
    assert int((wrong != y).any(1).sum()) == 15
    assert torch.equal(wrong.sort(0).values, y.sort(0).values)


def test_networks_are_plain_and_seeded():
    net = plain_network([4, 6, 6], "tanh", 0, bias=False, head=3)
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "Linear", "Tanh", "Linear"]
    assert all(m.bias is None for m in net if hasattr(m, "bias"))
    again = plain_network([4, 6, 6], "tanh", 0, bias=False, head=3)
    assert torch.equal(net[0].weight, again[0].weight)

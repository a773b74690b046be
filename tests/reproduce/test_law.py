import math
import random

import numpy as np
import pytest
import torch
from command_line import read_results
from PIL import Image

from langrl.errors import ConfigError
from langrl.reproduce import gaussian_critics, law, law_auto, law_independence
from langrl.reproduce.arguments import LawAutoArguments
from langrl.reproduce.gaussian_critics import CRITICS, Setting
from langrl.tasks.maze.published import LAW, LAW_EXACT, LAW_INDEPENDENCE

CHANCE = 1 / 32


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PAIRS": 512, "QUERIES": 128, "BATCH": 128}.items():
            patch.setattr(gaussian_critics, name, value)
        patch.setattr(law, "COUNTS", (40, 5_000))
        patch.setattr(law, "PROPOSED", (20, 30))
        patch.setattr(law_independence, "COUNT", 200)
        patch.setattr(law_auto, "EMBEDDINGS", (4,))
        patch.setattr(law_auto, "SCALES", (None, 10.0))
        patch.setattr(law_auto, "RHOS", (0.0, 0.5))
        patch.setattr(law_auto, "COUNTS", (50, 100))
        yield


def reproduced(module, folder, seeds=1, epochs=1, **options):
    """Return results.json of a command."""
    settings = {"out": folder, "seeds": seeds, "epochs": epochs, "workers": 1, **options}
    module.reproduce(LawAutoArguments.model_validate(settings), "langrl reproduce")
    return read_results(folder)


def weights(*critics):
    return [value for critic in critics for value in critic.state_dict().values()]


def equal(some, others):
    return all(torch.equal(x, y) for x, y in zip(some, others, strict=True))


def assert_image(path):
    assert np.asarray(Image.open(path).convert("L")).std() > 5


# The table.


@pytest.fixture(scope="module")
def table(tmp_path_factory, small):
    folder = tmp_path_factory.mktemp("law")
    return folder, reproduced(law, folder)


def test_law_has_a_row_for_each_model_and_estimator(table):
    rows = table[1]["rows"]
    keys = {"critic", "models", "estimator", "M", "recall", "sem", "published"}
    assert all(set(row) == keys for row in rows)
    found = [(row["critic"], row["models"], row["estimator"], row["M"]) for row in rows]
    joined = [("direct", None), ("gaussian", None), ("monte_carlo", 40), ("monte_carlo", 5_000)]
    joined += [("proposal", 20), ("auto", 40)]
    expected = [(critic, "shared", *key) for critic in CRITICS for key in joined]
    expected += [
        (critic, "separate", *key) for critic in CRITICS for key in [*joined, ("proposal", 30)]
    ]
    expected += [(critic, "oracle", "direct", None) for critic in CRITICS]
    ceilings = [("bayes", None), ("monte_carlo", 40), ("monte_carlo", 5_000), ("proposal", 20)]
    expected += [("exact", "exact", *key) for key in ceilings]
    assert sorted(found, key=str) == sorted(expected, key=str)
    order = [law.MODELS.index(row["models"]) for row in rows]
    assert order == sorted(order)


def test_recalls_are_chances_and_one_seed_has_no_standard_error(table):
    for row in table[1]["rows"]:
        assert 0 <= row["recall"] <= 1
        assert row["sem"] is None


def test_ceilings_are_those_of_exact_densities(table):
    exact = {
        (row["estimator"], row["M"]): row["recall"]
        for row in table[1]["rows"]
        if row["models"] == "exact"
    }
    assert exact["bayes", None] > 0.9
    assert exact["bayes", None] >= exact["monte_carlo", 5_000] > exact["monte_carlo", 40]
    assert exact["monte_carlo", 40] > 3 * CHANCE
    assert exact["proposal", 20] > exact["monte_carlo", 40]


def test_published_recalls_stand_in_their_own_cells(table):
    found = {
        (row["critic"], row["models"], row["estimator"], row["M"]): row["published"]
        for row in table[1]["rows"]
    }
    for key, published in found.items():
        assert published == LAW.get(key)
    # every published cell is there, but for those of 100,000 candidates, which are left out here
    assert {key for key, value in found.items() if value is not None} == {
        key for key in LAW if key[3] != 100_000
    }
    assert found["dot", "shared", "direct", None] == 0.39
    assert found["cosine", "separate", "monte_carlo", 5_000] == 0.82


def test_law_writes_its_results_and_image(table):
    folder, results = table
    assert set(results) == {"schema", "command", "config", "versions", "rows"}
    assert results["command"] == "langrl reproduce"
    assert results["config"] == {"seeds": 1, "epochs": 1}
    assert_image(folder / "figures" / "law.png")


def test_several_seeds_are_averaged(tmp_path, monkeypatch):
    recalls = {0: 0.2, 1: 0.4}

    def measure(setting, models, counts, proposed):
        return {(setting.critic, models, "direct", None): recalls[setting.seed]}

    monkeypatch.setattr(law, "measure", measure)
    for row in reproduced(law, tmp_path, seeds=2)["rows"]:
        assert row["recall"] == pytest.approx(0.3)
        assert row["sem"] == pytest.approx(0.1)  # of 0.2 / root 2 over root 2


# Assumption 1 violated.


@pytest.fixture(scope="module")
def violated(tmp_path_factory, small):
    folder = tmp_path_factory.mktemp("independence")
    with pytest.MonkeyPatch.context() as patch:
        models = {"shared": ("dot", "neg_half_sq_l2"), "oracle": ("dot",), "exact": ("exact",)}
        patch.setattr(law_independence, "MODELS", models)
        patch.setattr(law_independence, "LAW_RHOS", (0.0, 1.0))
        return folder, reproduced(law_independence, folder)


def test_independence_has_a_row_for_each_rho_and_estimator(violated):
    folder, results = violated
    keys = {
        "rho", "critic", "models", "estimator", "M", "recall", "sem", "published_low",
        "published_high",
    }  # fmt: skip
    assert all(set(row) == keys for row in results["rows"])
    found = [
        (row["rho"], row["critic"], row["models"], row["estimator"], row["M"])
        for row in results["rows"]
    ]
    joined = [("direct", None), ("gaussian", None), ("monte_carlo", 200), ("auto", 200)]
    expected = []
    for rho in (0.0, 1.0):
        for critic in ("dot", "neg_half_sq_l2"):
            expected += [(rho, critic, "shared", *key) for key in joined]
        expected += [(rho, "dot", "oracle", "direct", None)]
        expected += [(rho, "exact", "exact", "bayes", None)]
        expected += [(rho, "exact", "exact", "monte_carlo", 200)]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert [row["rho"] for row in results["rows"]] == sorted(row["rho"] for row in results["rows"])
    assert set(results) == {"schema", "command", "config", "versions", "rows"}
    assert_image(folder / "figures" / "law-independence.png")


def test_bayes_sees_a_hidden_variable_that_no_goal_can_tell_of(violated):
    exact = {
        (row["rho"], row["estimator"]): row["recall"]
        for row in violated[1]["rows"]
        if row["models"] == "exact"
    }
    assert exact[0.0, "bayes"] > 0.9
    assert exact[1.0, "bayes"] > 0.9
    assert exact[0.0, "monte_carlo"] > 5 * CHANCE
    assert exact[1.0, "monte_carlo"] == pytest.approx(CHANCE, abs=0.05)


@pytest.mark.parametrize(
    ("rho", "key", "expected"),
    [
        (0.25, ("cosine", "shared", "direct", None), (0.93, 0.96)),
        (0.25, ("neg_half_sq_l2", "shared", "direct", None), (0.93, 0.96)),
        (0.25, ("dot", "shared", "direct", None), (None, None)),  # not published
        (0.5, ("dot", "shared", "monte_carlo", 100_000), (0.82, 0.85)),
        (0.75, ("cosine", "shared", "gaussian", None), (None, None)),
        (0.75, ("cosine", "shared", "auto", 100_000), (None, None)),
        (1.0, ("dot", "oracle", "direct", None), (0.99, 1.0)),
        (1.0, ("exact", "exact", "monte_carlo", 100_000), (CHANCE, CHANCE)),
        (0.0, ("exact", "exact", "bayes", None), (None, None)),
    ],
)
def test_published_ranges_stand_in_their_own_cells(rho, key, expected):
    found = law_independence._published(rho, key)
    assert (found["published_low"], found["published_high"]) == expected


def test_published_ranges_cover_every_rho():
    count = len(law_independence.LAW_RHOS)
    assert all(len(ranges) == count for ranges in LAW_INDEPENDENCE.values())
    assert len(LAW_EXACT) == count


# The critics.


@pytest.mark.parametrize("shared", [True, False])
def test_shared_models_have_one_goal_encoder_and_separate_ones_two(shared):
    trained = gaussian_critics.train_critics(Setting(embedding=4, epochs=1), shared=shared)
    assert trained.shared == shared
    assert (trained.left.right is trained.right.right) == shared
    assert trained.left.left is not trained.right.left
    goals = gaussian_critics.candidate_goals(trained.setting, trained.world, 10)
    own, others = trained.embed_goals(goals)
    assert own.shape == (10, 4)
    assert (others is None) == shared
    if not shared:
        assert others.shape == (10, 4)
        assert not torch.equal(own, others)
    names = {name for name, _ in trained.left.named_parameters()}
    assert "scale.log_scale" in names
    assert all(value > 0 for value in trained.scales().values())
    assert not trained.left.training  # BatchNorm has to use its running statistics


def test_separate_models_are_trained_each_on_its_own():
    # the left critic is the same whatever becomes of the right one
    setting = Setting("dot", embedding=4, epochs=1)
    before = gaussian_critics.train_critics(setting, shared=False)
    with pytest.MonkeyPatch.context() as patch:
        pairs = gaussian_critics.training_pairs

        def other(setting, world, side):
            x, goals = pairs(setting, world, side)
            return (x, goals) if side == 0 else (x.flip(0), goals)

        patch.setattr(gaussian_critics, "training_pairs", other)
        after = gaussian_critics.train_critics(setting, shared=False)
    assert equal(weights(before.left), weights(after.left))
    assert not equal(weights(before.right), weights(after.right))


@pytest.mark.parametrize("shared", [True, False])
def test_setting_decides_every_bit(shared):
    setting = Setting("neg_half_sq_l2", embedding=4, epochs=1)
    first = gaussian_critics.train_critics(setting, shared=shared)
    state = torch.get_rng_state()
    torch.manual_seed(random.Random(0).randrange(1000))  # which does not matter
    torch.rand(7)
    again = gaussian_critics.train_critics(setting, shared=shared)
    other = gaussian_critics.train_critics(
        Setting("neg_half_sq_l2", seed=1, embedding=4, epochs=1), shared=shared
    )
    torch.set_rng_state(state)
    assert equal(weights(first.left, first.right), weights(again.left, again.right))
    assert not equal(weights(first.left, first.right), weights(other.left, other.right))


def test_training_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    gaussian_critics.train_critics(Setting(embedding=4, epochs=1), shared=True)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_model_of_a_seed_sees_the_same_world_and_the_same_unseen_pairs():
    reference, *others = [Setting(critic) for critic in ("cosine", "dot", "exact")]
    world = gaussian_critics.draw_world(reference)
    unseen = gaussian_critics.unseen_groups(reference, world)
    goals = gaussian_critics.candidate_goals(reference, world, 20)
    assert [x.shape for x in unseen] == [(4, 32, 32)] * 2
    for setting in others:
        same = gaussian_critics.draw_world(setting)
        for name in ("mean", "factor", "maps", "hidden_maps"):
            assert torch.equal(getattr(same, name), getattr(world, name))
        assert equal(gaussian_critics.unseen_groups(setting, same), unseen)
        assert torch.equal(gaussian_critics.candidate_goals(setting, same, 20), goals)
    assert not torch.equal(gaussian_critics.draw_world(Setting(seed=1)).mean, world.mean)


def test_what_is_evaluated_was_not_trained_on():
    setting = Setting()
    world = gaussian_critics.draw_world(setting)
    (a, first), (c, second) = (
        gaussian_critics.training_pairs(setting, world, side) for side in (0, 1)
    )
    assert len(a) == len(c) == gaussian_critics.PAIRS
    seen = {row.numpy().tobytes() for row in torch.cat([a, c])}
    unseen = gaussian_critics.unseen_groups(setting, world)
    assert not seen & {row.numpy().tobytes() for x in unseen for row in x.flatten(0, 1)}
    assert not {row.numpy().tobytes() for row in first} & {row.numpy().tobytes() for row in second}


def test_scale_is_learned_or_fixed():
    learned, fixed = (
        gaussian_critics.train_critics(Setting(scale=scale, embedding=4, epochs=1), shared=True)
        for scale in (None, 10.0)
    )
    assert fixed.scales() == {
        "left_scale": pytest.approx(10.0),
        "right_scale": pytest.approx(10.0),
    }
    assert learned.left.scale.log_scale.item() != 0
    assert learned.left.scale is not learned.right.scale


@pytest.mark.parametrize("epochs", [1, 2])
def test_training_starts_at_the_full_rate(epochs, monkeypatch):
    monkeypatch.setattr(gaussian_critics, "PAIRS", 128)  # one step an epoch
    trained = gaussian_critics.train_critics(Setting(embedding=4, epochs=epochs), shared=True)
    # Adam's first step is as long as its rate; a second one, at a tenth of it, is shorter
    assert abs(trained.left.scale.log_scale.item()) == pytest.approx(0.01, rel=0.15)


def test_estimate_is_the_sum_over_candidates_of_both_critics():
    trained = gaussian_critics.train_critics(Setting("dot", embedding=4, epochs=1), shared=False)
    goals = gaussian_critics.candidate_goals(trained.setting, trained.world, 700)
    found = gaussian_critics.estimate(trained, goals, *gaussian_critics.evaluation(trained)).value
    a, c = gaussian_critics.unseen_groups(trained.setting, trained.world)
    with torch.no_grad():
        f, h = trained.ratio(0, a[1], goals), trained.ratio(1, c[1], goals)  # [32, M]
    expected = (f.unsqueeze(1) + h).double().logsumexp(-1) - math.log(700)
    torch.testing.assert_close(found[1].double(), expected, atol=1e-3, rtol=1e-4)


@pytest.fixture(scope="module")
def taught(small):
    """A little training of both sorts of models, on more data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaussian_critics, "PAIRS", 4000)
        patch.setattr(gaussian_critics, "QUERIES", 512)
        patch.setattr(law, "_proposed", lambda *_: torch.zeros(1, 32, 32))
        return {
            models: law.measure(Setting(epochs=6), models, (2000,), ())
            for models in ("shared", "separate", "oracle")
        }


def test_a_little_training_beats_chance(taught):
    for models in ("shared", "separate"):
        assert taught[models]["cosine", models, "monte_carlo", 2000] > 6 * CHANCE
    assert taught["shared"]["cosine", "shared", "direct", None] > 6 * CHANCE
    assert taught["oracle"]["cosine", "oracle", "direct", None] > 6 * CHANCE


def test_embeddings_of_separate_models_cannot_be_compared(taught):
    assert taught["separate"]["cosine", "separate", "direct", None] < 3 * CHANCE


# The rule that chooses.


@pytest.fixture(scope="module")
def grid(tmp_path_factory, small):
    folder = tmp_path_factory.mktemp("auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(law_auto, "CRITICS", ("cosine", "neg_half_sq_l2"))
        file = folder / "goals.npy"
        goals = np.random.default_rng(0).normal(size=(2, 50, 3))
        goals[1] += 3  # away from the origin: in one direction
        np.save(file, goals)
        return folder, reproduced(law_auto, folder, embeddings=file)


def test_auto_has_a_row_for_each_cell(grid):
    folder, results = grid
    keys = {
        "critic", "models", "embedding", "scale", "rho", "M", "direct", "monte_carlo", "auto",
        "choice", "effective", "passes", "reasons", "seed",
    }  # fmt: skip
    assert all(set(row) == keys for row in results["rows"])
    cells = [
        tuple(row[name] for name in ("critic", "models", "embedding", "scale", "rho", "M"))
        for row in results["rows"]
    ]
    assert len(cells) == len(set(cells)) == 2 * 2 * 1 * 2 * 2 * 2
    assert {row["scale"] for row in results["rows"]} == {"learned", 10.0}
    for row in results["rows"]:
        assert 0 < row["effective"] <= row["M"]
        assert row["choice"] in ("direct", "gaussian", "von_mises_fisher", "monte_carlo")
        assert row["choice"] != "direct" or row["models"] == "shared"
    assert_image(folder / "figures" / "law-auto.png")


def test_policies_add_up(grid):
    _, results = grid
    rows = results["rows"]
    for row in rows:
        better = max(row["direct"], row["monte_carlo"])
        assert row["passes"] == [
            name for name in ("direct", "monte_carlo", "auto") if row[name] >= better - 0.02
        ]
        assert {"direct", "monte_carlo"} & set(row["passes"])
    assert [policy["policy"] for policy in results["policies"]] == ["direct", "monte_carlo", "auto"]
    for policy in results["policies"]:
        name = policy["policy"]
        assert policy["cells"] == len(rows)
        assert policy["passed"] * len(rows) == pytest.approx(
            sum(name in row["passes"] for row in rows)
        )
        assert policy["mean_recall"] == pytest.approx(sum(row[name] for row in rows) / len(rows))
        assert policy["largest_shortfall"] == pytest.approx(
            max(max(row["direct"], row["monte_carlo"]) - row[name] for row in rows)
        )


def test_direct_is_the_same_for_each_number_of_candidates(grid):
    rows = grid[1]["rows"]
    for few, many in zip(rows[::2], rows[1::2], strict=True):
        assert (few["M"], many["M"]) == (50, 100)
        assert few["direct"] == many["direct"]


def test_embeddings_are_tested_set_by_set(grid):
    tests = grid[1]["embeddings"]
    assert [(test["set"], test["test"]) for test in tests] == [
        (number, name) for number in (0, 1) for name in ("Rayleigh", "Bingham")
    ]
    assert {(test["n"], test["D"]) for test in tests} == {(50, 3)}
    assert [test["rejects"] for test in tests] == [False, False, True, True]


# Embeddings of the user's own.


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_set_or_several_sets_of_embeddings_are_read(tmp_path, dtype):
    array = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(dtype)
    np.save(tmp_path / "several.npy", array)
    np.save(tmp_path / "one.npy", array[0])
    several = law_auto.read_embeddings(tmp_path / "several.npy")
    (one,) = law_auto.read_embeddings(tmp_path / "one.npy")
    assert len(several) == 2
    for found, expected in zip([*several, one], [*array, array[0]], strict=True):
        assert found.dtype == torch.float64
        np.testing.assert_array_equal(found.numpy(), expected)


def text(path):
    path.write_text("no array")


def saved(array):
    return lambda path: np.save(path, array, allow_pickle=True)


def archive(path):
    with path.open("wb") as file:
        np.savez(file, goals=np.ones((5, 3)))


def cut_off(path):
    np.save(path, np.ones((5, 3)))
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    "write",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b""),
        text,
        archive,
        cut_off,
        saved(np.array([{"code": 1}, None], dtype=object)),
        saved(np.ones((5, 3), dtype=int)),
        saved(np.ones((5, 3), dtype=complex)),
        saved(np.ones(5)),
        saved(np.ones((2, 2, 5, 3))),
        saved(np.array([[1.0, math.nan]])),
        saved(np.array([[1.0, -math.inf]])),
    ],
    ids=[
        "missing", "a folder", "empty", "text", "archive", "cut off", "objects", "integers",
        "complex", "one axis", "four axes", "NaN", "infinity",
    ],
)  # fmt: skip
def test_file_without_embeddings_is_refused_in_one_line(tmp_path, write):
    path = tmp_path / "goals.npy"
    write(path)
    with pytest.raises(ConfigError) as caught:
        law_auto.read_embeddings(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("--embeddings ")
    assert str(path) in message


def too_large(path):
    with path.open("wb") as file:
        shape = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)}
        np.lib.format.write_array_header_1_0(file, shape)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"PK\x03\x04 no archive"),
        lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x04\x00(((("),
        too_large,
        saved(np.ones((0, 3))),
        saved(np.ones((2, 0, 3))),
    ],
    ids=["damaged archive", "damaged header", "more than memory", "no rows", "sets without rows"],
)
def test_damaged_or_empty_file_is_refused_in_one_line(tmp_path, write):
    test_file_without_embeddings_is_refused_in_one_line(tmp_path, write)


def test_unreadable_embeddings_are_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(law_auto, "run_parts", lambda *_: pytest.fail("trained"))
    with pytest.raises(ConfigError):
        reproduced(law_auto, tmp_path, embeddings=tmp_path / "none.npy")

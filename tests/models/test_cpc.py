import json
import math

import pytest
import torch
from pydantic import ValidationError

from langrl.errors import CheckpointError, ConfigError, DomainError, NonFiniteError, ShapeError
from langrl.models.config import CpcConfig
from langrl.models.cpc import CPC, CpcDescription, build_cpc, load_cpc

SMALL = CpcConfig(embedding=6, context=10, horizon=3, width=16, depth=1)


def make(observation=(5, 5, 3), actions=4, seed=0):
    return build_cpc(CpcDescription(observation=observation, actions=actions, config=SMALL), seed)


@pytest.fixture
def model():
    return make()


@pytest.fixture
def views():
    return torch.randint(
        0, 8, (4, 7, 5, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture
def actions():
    return torch.randint(0, 4, (4, 7), generator=torch.Generator().manual_seed(1))


def read(model, views, actions):
    z = model.encode(views)
    return z, model.contexts(z, model.actions_before(actions))[0]


def test_shapes_are_those_of_the_docstrings(model, views, actions):
    z = model.encode(views)
    assert z.shape == (4, 7, 6)
    c, state = model.contexts(z, model.actions_before(actions))
    assert c.shape == (4, 7, 10)
    assert torch.equal(state, c[:, -1])
    assert model.predictions(c, 2).shape == (4, 7, 6)
    assert model.logits(z[0], c[1], 3).shape == (7, 7)
    assert model.encode(views[0, 0]).shape == (6,)


def test_logits_are_bilinear_as_in_the_paper(model, views, actions):
    z, c = read(model, views, actions)
    weights = model.ahead.weight.view(3, 6, 10)
    expected = z[0, 3] @ weights[1] @ c[2, 4]  # k = 2
    assert model.logits(z[0], c[2], 2)[4, 3].item() == pytest.approx(expected.item(), abs=1e-6)


def test_actions_are_shifted_by_a_step(model, actions):
    before = model.actions_before(actions)
    assert (before[:, 0] == model.none_yet).all()
    assert model.none_yet == 4
    assert torch.equal(before[:, 1:], actions[:, :-1])


def test_a_context_does_not_depend_on_the_future(model, views, actions):
    _, c = read(model, views, actions)
    changed, other = views.clone(), actions.clone()
    changed[:, 4:] = 1
    other[:, 4:] = 0
    _, later = read(model, changed, other)
    assert torch.equal(c[:, :4], later[:, :4])
    assert not torch.allclose(c[:, 4:], later[:, 4:])


def test_a_context_knows_the_past_and_the_actions(model, views, actions):
    _, c = read(model, views, actions)
    other = actions.clone()
    other[:, 0] = (other[:, 0] + 1) % 4
    _, changed = read(model, views, other)
    assert torch.equal(c[:, 0], changed[:, 0])
    assert not torch.allclose(c[:, -1], changed[:, -1], atol=1e-7)


def test_step_by_step_equals_the_whole_sequence(model, views, actions):
    z, c = read(model, views, actions)
    before, state = model.actions_before(actions), None
    for t in range(7):
        one, state = model.contexts(z[:, t : t + 1], before[:, t : t + 1], state)
        torch.testing.assert_close(one[:, 0], c[:, t], atol=1e-6, rtol=0)


def test_a_model_without_actions_is_told_none(views):
    model = make(actions=0)
    c, _ = model.contexts(model.encode(views))
    assert c.shape == (4, 7, 10)
    with pytest.raises(ShapeError, match="reads no actions"):
        model.contexts(model.encode(views), torch.zeros(4, 7, dtype=torch.long))


def test_vectors_are_encoded_too():
    model = make(observation=(3,), actions=0)
    assert model.encode(torch.randn(2, 5, 3)).shape == (2, 5, 6)
    with pytest.raises(ShapeError, match=r"\[\.\.\., 3\] here"):
        model.encode(torch.randn(2, 5, 4))
    with pytest.raises(ShapeError, match=r"\.float\(\)"):
        model.encode(torch.zeros(2, 3, dtype=torch.long))


# -- loss ----------------------------------------------------------------------------------


@torch.no_grad()
def looped(model, z, c, mask, negatives):
    """The loss and each horizon's information, by loops over contexts and codes."""
    losses, found = [], {}
    for k in range(1, model.horizon + 1):
        pairs = [(b, t) for b in range(len(z)) for t in range(z.shape[1] - k) if mask[b, t + k]]
        terms, ceilings = [], []
        for b, t in pairs:
            others = [
                (i, j) for i, j in pairs
                if (i, j) == (b, t) or negatives == "batch"
                or (negatives == "trajectories" and i != b) or (negatives == "times" and i == b)
            ]  # fmt: skip
            if len(others) < 2:
                continue
            f = {
                (i, j): float(model.logits(z[i, j + k, None], c[b, t, None], k)) for i, j in others
            }
            terms.append(math.log(sum(map(math.exp, f.values()))) - f[b, t])
            ceilings.append(math.log(len(others)))
        if terms:
            losses.append(sum(terms) / len(terms))
            found[k] = sum(ceilings) / len(ceilings) - losses[-1]
    return sum(losses) / len(losses), found


LENGTHS = torch.tensor([7, 2, 5, 1])
MASK = torch.arange(7) < LENGTHS[:, None]


@pytest.mark.parametrize("negatives", ["batch", "trajectories", "times"])
@pytest.mark.parametrize("mask", [torch.ones(4, 7, dtype=torch.bool), MASK])
def test_the_loss_agrees_with_a_loop_over_pairs(model, views, actions, negatives, mask):
    z, c = (x.detach().double() for x in read(model, views, actions))
    model = model.double()
    loss, metrics = model.contrast(3 * z, c, mask, negatives=negatives)
    expected, information = looped(model, 3 * z, c, mask, negatives)
    assert loss.item() == pytest.approx(expected)
    for k, value in information.items():
        assert metrics[f"information_{k}"].item() == pytest.approx(value, abs=1e-5)
        assert 0 <= metrics[f"accuracy_{k}"] <= 1


def test_padding_does_not_count(model, views, actions):
    mask = torch.ones(4, 7, dtype=torch.bool)
    mask[1, 3:] = False
    padded = views.clone()
    padded[1, 3:] = 0
    before = model.actions_before(actions)
    losses = [model.loss(v, before, mask)[0] for v in (views, padded)]
    assert losses[0].item() == losses[1].item()
    assert losses[0].item() != model.loss(views, before)[0].item()


def test_a_code_that_can_be_predicted_is_worth_the_log_of_the_candidates():
    model = make(observation=(2,), actions=0)
    z = torch.eye(6).repeat(2, 1)[:12].view(6, 2, 6)
    c = torch.zeros(6, 2, 10)
    with torch.no_grad():
        model.ahead.weight.zero_()
        model.ahead.weight.view(3, 6, 10)[0, :, :6] = 100 * torch.eye(6)
    c[:, 0, :6] = z[:, 1]
    distinct = z[:3]  # three trajectories of two steps, all codes different
    loss, metrics = model.contrast(distinct, c[:3])
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert metrics["information_1"].item() == pytest.approx(math.log(3))
    assert metrics["accuracy_1"] == 1
    assert metrics["ceiling"].item() == pytest.approx(math.log(3))
    assert set(metrics) == {"information_1", "accuracy_1", "ceiling"}  # none is longer


def test_anchors_bound_the_candidates_and_follow_the_generator(model, views, actions):
    before = model.actions_before(actions)

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return model.loss(views, before, anchors=8, generator=generator)

    loss, metrics = draw(0)
    assert metrics["ceiling"].item() == pytest.approx(math.log(8))
    assert loss.item() == draw(0)[0].item()
    assert loss.item() != draw(1)[0].item()
    with pytest.raises(DomainError, match="the generator"):
        model.loss(views, before, anchors=8)
    with pytest.raises(DomainError, match="anchors is 1"):
        model.loss(views, before, anchors=1, generator=torch.Generator())


def test_training_predicts_what_the_history_tells():
    """Each trajectory repeats its own vector after noise: only memory tells which."""
    model = make(observation=(4,), actions=0)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        x = torch.randn((24, 5, 4), generator=generator)
        x[:, 3:] = x[:, :2]  # what is seen at 3 is what was seen at 0
        loss, metrics = model.loss(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert metrics["information_3"] > 2.0  # of log 48, at t = 0 and 1
    assert metrics["information_1"] < metrics["information_3"]


# -- errors --------------------------------------------------------------------------------


def wrong_calls():
    z, c = torch.zeros(2, 5, 6), torch.zeros(2, 5, 10)
    mask, steps = torch.ones(2, 5, dtype=torch.bool), torch.zeros(2, 5, dtype=torch.long)
    hole = mask.clone()
    hole[0, 2] = False
    return {
        "another shape": (lambda m: m.encode(torch.zeros(2, 4, 4, 3)), ShapeError, "5, 5, 3"),
        "floats": (lambda m: m.encode(torch.zeros(2, 5, 5, 3)), ShapeError, "uint8"),
        "images": (
            lambda m: m.encode(torch.full((1, 5, 5, 3), 200)), ShapeError, "views, not images"
        ),
        "codes of another size": (lambda m: m.contexts(z[..., :5], steps), ShapeError, "encode"),
        "no actions": (lambda m: m.contexts(z), ShapeError, "got none"),
        "few actions": (lambda m: m.contexts(z, steps[:, :4]), ShapeError, r"\[2, 4\]"),
        "an unknown action": (lambda m: m.contexts(z, steps + 5), DomainError, "0 to 3"),
        "a far horizon": (lambda m: m.logits(z, c, 4), DomainError, "1 to 3 steps"),
        "contexts of others": (lambda m: m.contrast(z, c[:1]), ShapeError, "a context for each"),
        "a mask of another size": (lambda m: m.contrast(z, c, mask[:, :3]), ShapeError, "mask"),
        "a mask of numbers": (lambda m: m.contrast(z, c, mask.float()), ShapeError, "torch.bool"),
        "a hole": (lambda m: m.contrast(z, c, hole), DomainError, "end of trajectories"),
        "single steps": (lambda m: m.contrast(z[:, :1], c[:, :1]), DomainError, "two steps"),
        "one trajectory": (
            lambda m: m.contrast(z[:1], c[:1], negatives="trajectories"),
            DomainError, "two trajectories",
        ),
        "nan": (lambda m: m.contrast(z + math.nan, c), NonFiniteError, "nan"),
    }  # fmt: skip


@pytest.mark.parametrize("name", wrong_calls())
def test_what_is_wrong_is_named(model, name):
    call, error, says = wrong_calls()[name]
    with pytest.raises(error, match=says):
        call(model)


@pytest.mark.parametrize("shape", [(), (5, 5), (5, 5, 4), (0,)])
def test_an_observation_is_a_view_or_a_vector(shape):
    with pytest.raises(ValidationError, match="views or"):
        CpcDescription(observation=shape, config=SMALL)


# -- files ---------------------------------------------------------------------------------


def test_a_seed_decides_the_weights():
    one, same, other = (make(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["gru.weight_ih_l0"], other["gru.weight_ih_l0"])


def test_a_saved_model_is_the_same_model(model, views, actions, tmp_path):
    model.save(tmp_path / "run" / "model")
    expected = read(model, views, actions)
    for folder in (tmp_path / "run" / "model", tmp_path / "run"):
        loaded = load_cpc(folder)
        assert isinstance(loaded, CPC)
        assert not loaded.training
        got = read(loaded, views, actions)
        assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_what_is_no_model_is_refused(model, tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        load_cpc(tmp_path / "none")
    with pytest.raises(CheckpointError, match="manifest"):
        load_cpc(tmp_path)
    folder = tmp_path / "model"
    model.save(folder)
    (folder / "cpc.json").write_text("{}")
    with pytest.raises(CheckpointError, match="damaged"):
        load_cpc(folder)


def rewrite(folder, change):
    """Change a model's description, its manifest too."""
    import hashlib

    file = folder / "cpc.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["cpc.json"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(kind="vae"), "no model of contrastive"),
        (lambda d: d.update(observation=[5, 5]), "views or"),
        (lambda d: d.update(wings=2), "unknown key 'wings'"),
        (lambda d: d["config"].update(embedding=7), "config has changed|another model"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(model, tmp_path, change, says):
    model.save(tmp_path / "model")
    rewrite(tmp_path / "model", change)
    with pytest.raises(CheckpointError, match=says):
        load_cpc(tmp_path / "model")

"""Every public function of tensors: what is no tensor, or has other axes, is refused in one line.

Axes are letters, of different sizes each; a case gives those of every argument.
"""

import ast
import importlib
import inspect
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from documents import ROOT
from torch import Tensor

import langrl.functional as F
from langrl.errors import LangRLError, ShapeError
from langrl.grounding.proposals import GaussianProposal

SIZES = {"N": 3, "M": 5, "K": 4, "D": 2, "E": 6, "B": 16, "J": 8}
SHARED = {"x": "B D", "y": "B D"}  # row i of both is a pair
LOGITS = {"logits": "N M", "positives": "mask N M"}
GAUSSIANS = {"mean": "E N D", "log_scale": "E N D"}


@dataclass(frozen=True)
class Case:
    """A call that works: the axes of tensors, and other arguments."""

    axes: dict[str, str]
    more: dict[str, Any] = field(default_factory=dict)
    elementwise: bool = False  # takes any number of axes


CASES = {
    **dict.fromkeys(("dot", "cosine", "neg_l2", "neg_half_sq_l2"),
                    Case({"left": "N D", "right": "M D"})),
    "forward_info_nce": Case(LOGITS | {"negatives": "N J"}),
    "backward_info_nce": Case(LOGITS | {"negatives": "M J"}),
    "symmetric_info_nce": Case({"logits": "N M", "negatives": "N J"}),
    "ranking_info_nce": Case({"positive": "B", "negatives": "B J"}),
    **dict.fromkeys(("binary_nce", "sigmoid", "triplet"), Case({"logits": "N M"})),
    "direct": Case({"left": "N D", "right": "K D"}),
    "monte_carlo": Case({"left": "N M", "right": "M K", "log_weights": "M"}),
    "monte_carlo_embeddings": Case(
        {"left": "N D", "right": "K E", "goals": "M D", "right_goals": "M E", "log_weights": "M"}
    ),
    "von_mises_fisher": Case({"left": "N D", "right": "K D"}),
    "gaussian": Case({"left": "N D", "right": "K D", "mean": "D", "covariance": "unit D D"}),
    "gaussian_law": Case({"goals": "M D", "right_goals": "M E"}),
    "choose": Case(
        {"left": "B D", "left_goals": "B E", "right": "K E", "goals": "M D", "right_goals": "M E"},
        {"alternatives": 2, "generator": torch.Generator().manual_seed(0)},
    ),
    "gaussianity": Case({"goals": "B D"}),
    "log_hyp0f1": Case({"x": "positive B"}, {"b": 2.0}, elementwise=True),
    "log_matmul_exp": Case({"left": "N M", "right": "M K"}),
    "best_question": Case({"weights": "positive M", "labels": "numbers J M"}, {"price": 0.1}),
    "exact_value": Case({"labels": "numbers J M", "denoted": "truths M"}, {"price": 0.1}),
    "adaptive_scores": Case(
        {"probabilities": "chances N M"}, {"generator": torch.Generator().manual_seed(0)}
    ),
    "conformal_threshold": Case({"scores": "N"}, {"coverage": 0.5}),
    "fit_temperature": Case({"log_probabilities": "N M", "meant": "numbers N"}),
    "recall_at_1": Case({"scores": "K K"}),
    "two_stage": Case(
        {"state_to_waypoint": "N M", "waypoint_to_goal": "M K", "log_weights": "M"}
    ),
    "stages": Case({"edges": "M M", "log_weights": "M"}, {"count": 2}),
    "closure": Case({"edges": "M M", "log_weights": "M"}, {"discount": 0.1}),
    "successor_distance": Case({"own": "M", "scores": "N M"}),
    **dict.fromkeys(("info_nce", "nwj", "donsker_varadhan", "smile"), Case({"logits": "N M"})),
    "gaussian_log_ratio": Case({"x": "N D", "y": "M D", "correlation": "positive D"}),
    "gaussian_information": Case({"correlation": "positive D"}),
    "bernoulli": Case({"x": "positive N D", "logits": "N D"}),
    "categorical": Case({"counts": "positive N D", "logits": "N D"}),
    "bernoulli_matrix": Case({"x": "positive M D", "logits": "N D"}),
    "gaussian_matrix": Case({"x": "M D", "mean": "N D", "log_scale": "D"}),
    "categorical_matrix": Case({"counts": "positive M D", "logits": "N D"}),
    "log_normal": Case({"z": "N D", "mean": "N D", "log_scale": "N D"}),
    "log_normal_matrix": Case({"z": "K D", "mean": "N D", "log_scale": "N D"}),
    "log_standard_normal": Case({"z": "N D"}, elementwise=True),
    "log_mixture": Case({"z": "K N D"} | GAUSSIANS),
    "product_of_experts": Case(GAUSSIANS),
    "stratified_sample": Case(
        GAUSSIANS, {"samples": 6, "generator": torch.Generator().manual_seed(0)}
    ),
    "importance_weighted": Case({"log_weights": "K N"}, elementwise=True),
    "relating": Case({"log_joint": "B B", "related": "B"}),
    "pointwise_information": Case({"log_joint": "N M", "log_left": "N", "log_right": "M"}),
    **dict.fromkeys(("modality_gap", "gap_noise", "separability", "alignment", "cosine_histogram",
                     "best_scale"), Case(SHARED)),
    "shift": Case(SHARED, {"amount": 0.5}),
    "shift_curve": Case(SHARED | {"matches": "mask B B"}, {"scale": 2.0}),
    "mixed_recall": Case(SHARED | {"matches": "mask B B"}),
    **dict.fromkeys(("cone", "uniformity", "effective_rank"), Case({"x": "B D"})),
    "mismatched_circles": Case({"height": "positive"}, {"swapped": False}),
    "toy_loss": Case({"height": "positive"}, {"temperature": 0.1, "swapped": True}),
}  # fmt: skip
ARGUMENTS = [(name, argument) for name, case in CASES.items() for argument in case.axes]
each_argument = pytest.mark.parametrize(("name", "argument"), ARGUMENTS)


def letters(axes):
    return [axis for axis in axes.split() if axis.isupper()]


def draw(axes, seed):
    """Return a tensor of given axes, of the kind that the word before them says."""
    shape = [SIZES[axis] for axis in letters(axes)]
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    kind = axes.split()[0]
    if kind == "mask":
        return torch.arange(shape[1]).expand(shape) == torch.arange(shape[0]).unsqueeze(1)
    others = {
        "positive": lambda: values.sigmoid(),
        "unit": lambda: torch.eye(shape[-1]),
        "numbers": lambda: (values > 0).long(),
        "truths": lambda: values < math.inf,
        "chances": lambda: values.softmax(-1),
    }
    return others.get(kind, lambda: values)()


def arguments(name):
    case = CASES[name]
    drawn = {argument: draw(axes, n) for n, (argument, axes) in enumerate(case.axes.items())}
    return drawn | case.more


def call(name, **changes):
    return getattr(F, name)(**arguments(name) | changes)


def is_refused_or_runs(name, **changes):
    try:
        call(name, **changes)
    except LangRLError:
        return True
    return False


def test_every_public_function_of_tensors_is_checked_here():
    functions = {name: getattr(F, name) for name in F.__all__}
    takes = {
        name
        for name, function in functions.items()
        if inspect.isfunction(function)
        and any("Tensor" in str(kind) for kind in inspect.get_annotations(function).values())
    }
    others = {"gaussian_kl", "prior_kl", "adaptive", "streamed_log_matmul_exp"}  # below, or a block
    assert takes - others == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_case_itself_works(name):
    assert call(name) is not None


@each_argument
def test_a_numpy_array_is_refused_with_a_repair_that_works(name, argument):
    array = arguments(name)[argument].numpy()
    message = (
        f"^{name} needs {argument} as (a number or )?a torch.Tensor, got numpy.ndarray; convert"
    )
    with pytest.raises(ShapeError, match=message) as error:
        call(name, **{argument: array})
    repair = str(error.value).split("convert it with ")[1]
    repaired = eval(repair, {"torch": torch, argument: array})
    assert call(name, **{argument: repaired}) is not None


@each_argument
def test_an_axis_too_many_is_refused(name, argument):
    if not CASES[name].elementwise and letters(CASES[name].axes[argument]):
        assert is_refused_or_runs(name, **{argument: arguments(name)[argument].unsqueeze(-1)})


ONE_FOR_ALL = {  # where an axis of size 1 serves all
    *((name, "N") for name in ("bernoulli", "categorical", "log_normal", "product_of_experts")),
    ("log_normal", "log_scale", "D"), ("gaussian_matrix", "log_scale", "D"),
    ("gaussian_log_ratio", "correlation", "D"),
}  # fmt: skip
SHARED_AXES = [
    (name, argument, place, axis)
    for name, argument in ARGUMENTS
    for place, axis in enumerate(letters(CASES[name].axes[argument]))
    if sum(letters(axes).count(axis) for axes in CASES[name].axes.values()) > 1
]


@pytest.mark.parametrize(("name", "argument", "place", "axis"), SHARED_AXES)
def test_an_axis_of_another_size_than_elsewhere_is_refused(name, argument, place, axis):
    tensor = arguments(name)[argument]
    one_for_all = (name, argument, axis) in ONE_FOR_ALL or (name, axis) in ONE_FOR_ALL
    for size in (SIZES[axis] - 1, 1, 0):
        if size != 1 or not one_for_all:
            assert is_refused_or_runs(name, **{argument: tensor.narrow(place, 0, size)}), size


@each_argument
def test_other_dtypes_and_empty_tensors_run_or_are_refused_in_one_line(name, argument):
    tensor = arguments(name)[argument]
    for changed in (tensor.double(), tensor.long(), tensor[..., :0] if tensor.ndim else tensor):
        is_refused_or_runs(name, **{argument: changed})


def test_the_two_numbers_of_a_gaussian_are_checked():
    mean, log_scale = torch.zeros(3, 2), torch.zeros(3, 2)
    for wrong in ((mean.numpy(), log_scale), (mean[:, :1], log_scale)):
        with pytest.raises(ShapeError, match=r"^gaussian_kl needs .*q\[0\]"):
            F.gaussian_kl(wrong, (mean, log_scale))
        with pytest.raises(ShapeError, match=r"^prior_kl needs .*q\[0\]"):
            F.prior_kl(wrong)


def test_tensors_inside_other_arguments_are_checked():
    array = torch.ones(3, 2).numpy()
    with pytest.raises(ShapeError, match=r"needs along as a .*Tensor, got numpy"):
        F.streamed_log_matmul_exp(lambda goals: (goals.mT, goals), 2, False, [array], [])
    with pytest.raises(ShapeError, match=r"fit needs queries as a .*Tensor, got numpy"):
        GaussianProposal.fit(array, torch.ones(3, 2))


def test_a_scale_that_is_no_number_is_refused():
    left = torch.ones(2, 3)
    with pytest.raises(
        ShapeError, match=r"direct needs scale as a number or a torch.Tensor, got str"
    ):
        F.direct(left, left, scale="10")


@pytest.mark.parametrize("name", F.ENERGIES)
def test_an_energy_is_taken_by_its_name(name):
    case = arguments("monte_carlo_embeddings") | {"log_weights": None}
    energy, options = F.ENERGIES[name], {"energy": name, "right_energy": name}
    named = F.monte_carlo_embeddings(**case, **options).value
    assert torch.equal(named, F.monte_carlo_embeddings(**case, energy=energy).value)
    left, right = case["left"], arguments("direct")["right"]
    assert torch.equal(F.direct(left, right, energy=name), energy(left, right))
    if name != "neg_l2":
        law = F.gaussian_law(case["goals"], energy=name)
        closed = F.gaussian(left, right, *law, energy=name)
        assert torch.equal(closed, F.gaussian(left, right, *law, energy=energy))
    chosen = call("choose", energy=name, right_energy=name)
    assert chosen.estimator in str(chosen)


def test_an_unknown_energy_is_named_with_the_closest_one():
    with pytest.raises(LangRLError, match="no energy named 'cosin'; did you mean 'cosine'"):
        call("direct", energy="cosin")


# -- candidates of each query's own ----------------------------------------------------------


def test_weights_of_each_query_need_an_axis_of_their_own():
    f, h, weights = draw("N M", 0), draw("M K", 1), draw("N M", 2)
    each = draw("N M K", 3)  # candidates of each query's own
    for right in (h, each):
        with pytest.raises(ShapeError, match=r"log_weights .* axes \[3\].*left\.unsqueeze\(-2\)"):
            F.monte_carlo(f, right, weights)
        value = F.monte_carlo(f.unsqueeze(-2), right, weights).value.squeeze(-2)  # as advised
        terms = f.unsqueeze(-1) + right + weights.unsqueeze(-1)
        torch.testing.assert_close(value, terms.logsumexp(1) - torch.tensor(5.0).log())
    with pytest.raises(ShapeError, match="log_weights with leading axes"):
        call("monte_carlo_embeddings", log_weights=weights)


# -- names at one level ----------------------------------------------------------------------


@pytest.mark.parametrize("name", F.__all__)
def test_a_name_is_the_same_thing_at_one_level_and_in_its_module(name):
    value = getattr(F, name)
    module = importlib.import_module(f"langrl.functional.{F._HOMES[name]}")
    assert value is getattr(module, name)
    assert getattr(value, "__module__", module.__name__) in (module.__name__, "collections.abc")
    assert name in dir(F)


def test_every_module_is_reached_and_described():
    folder = Path(F.__file__).parent
    assert set(F._NAMES) | {"checks", "contrasts"} == {
        path.stem for path in folder.glob("[a-z]*.py")
    }
    for module in F._NAMES:
        assert getattr(F, module).__name__ == f"langrl.functional.{module}"
        assert f"``{module}``" in F.__doc__ or module in ("auto", "estimates")


def test_type_checkers_see_every_name():
    stub = ast.parse(Path(F.__file__).with_suffix(".pyi").read_text())
    imported = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imported for alias in node.names}
    assert seen == {name: f"langrl.functional.{module}" for name, module in F._HOMES.items()}


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'infonce'"):
        _ = F.infonce
    assert isinstance(F.uniformity(torch.eye(3)), float)
    assert isinstance(F.dot(torch.eye(3), torch.eye(3)), Tensor)


def test_the_reference_lists_every_name_beside_its_module():
    page = (ROOT / "docs" / "reference" / "import-paths.md").read_text()
    rows = dict(re.findall(r"^\| `langrl\.functional\.(\w+)` \| (.+) \|$", page, re.MULTILINE))
    assert set(rows) == set(F._NAMES)
    for module, names in F._NAMES.items():
        assert set(names.split()) <= set(re.findall(r"`(\w+)`", rows[module])), module

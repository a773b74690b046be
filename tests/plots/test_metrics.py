import pytest

from langrl.plots.base import curves_figure
from langrl.plots.metrics import MEANINGS, line_of, meaning_of, panel_of

RECORDS = [
    {"step": 5, "loss": 2.0, "critic/accuracy_right": 0.1, "critic/accuracy_left": 0.2},
    {"step": 10, "loss": 1.0, "critic/accuracy_right": 0.3, "evaluation/success": 0.5},
]


@pytest.mark.parametrize(
    ("name", "panel"),
    [
        ("loss", "loss"),
        ("critic/accuracy_right", "critic/accuracy"),
        ("language/accuracy_left", "language/accuracy"),
        ("accuracy_action", "accuracy_action"),
        ("information_12", "information"),
        ("instructions/colour", "instructions"),
        ("train/actor_loss", "train/actor_loss"),
    ],
)
def test_a_metric_shares_its_panel_with_its_like(name, panel):
    assert panel_of(name) == panel
    assert meaning_of(panel) is MEANINGS[panel.rsplit("/", 1)[-1]]


def test_every_meaning_has_a_unit_and_a_sentence():
    for name, meaning in MEANINGS.items():
        assert meaning.axis, name
        assert meaning.sentence.endswith("."), name


def test_a_metric_that_is_not_known_is_drawn_without_a_sentence():
    ax = curves_figure([{"step": 1, "my_own": 3.0}], "title").axes[0]
    assert ax.get_title() == "my own"
    assert ax.get_xlabel().strip() == "training steps"


def test_curves_have_axes_units_legends_and_success_first():
    success, loss, accuracy = curves_figure(RECORDS, "title").axes[:3]
    assert [ax.get_title() for ax in (success, loss, accuracy)] == [
        "evaluation/success", "loss", "critic/accuracy",
    ]  # fmt: skip
    assert success.get_ylabel() == "share of episodes"
    assert success.get_ylim()[1] > 1
    assert "higher is better" in success.get_xlabel()
    assert loss.get_ylabel() == "nats"
    assert loss.get_legend() is None
    named = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert named == [line_of(f"critic/accuracy_{side}") for side in ("right", "left")]
    assert [list(line.get_xdata()) for line in accuracy.lines] == [[5, 10], [5]]


def test_the_loss_of_critic_and_actor_together_may_rise():
    alone, beside = ["loss", "critic/loss"], ["loss", "critic/loss", "actor/score"]
    assert meaning_of("loss", alone) is MEANINGS["loss"]
    assert "may rise" in meaning_of("loss", beside).sentence
    assert meaning_of("critic/loss", beside) is MEANINGS["loss"]

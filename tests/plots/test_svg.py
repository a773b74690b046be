import re
from xml.etree import ElementTree

import numpy as np
import pytest

from langrl.plots.base import figure
from langrl.plots.benchmark import Curve, asking_figure, profiles_figure, success_by_bits_figure
from langrl.plots.svg import INK, SERIES, to_svg

POINTS = np.arange(4.0)


def curve(name: str, y: float = 0.5) -> Curve:
    return Curve(name, POINTS, np.full(4, y), np.full(4, y - 0.1), np.full(4, y + 0.1))


def sample(text: str = "text"):
    fig = figure(3, 2)
    ax = fig.subplots()
    ax.plot([0, 1], [0, 1], color=SERIES[2])
    ax.imshow(np.zeros((2, 2)))
    ax.set_title(text, color=INK, parse_math=False)
    return fig


def test_the_element_is_sound_and_described_and_has_no_address():
    svg = to_svg(sample(), "one", 'a "line" & <more>')
    root = ElementTree.fromstring(svg)
    assert (root.tag, root.get("role"), root.get("aria-label")) == (
        "svg", "img", 'a "line" & <more>',
    )  # fmt: skip
    assert root.get("viewBox")
    assert root.get("width") is None
    assert "://" not in svg
    assert "<style" not in svg


def test_colours_and_the_font_are_those_of_the_page():
    svg = to_svg(sample(), "one", "")
    assert "stroke: var(--series-2)" in svg
    assert SERIES[2] not in svg
    assert "fill: var(--ink)" in svg
    assert "var(--font)" in svg
    assert "DejaVu" not in svg


def test_ids_of_two_figures_differ_and_references_lead_to_ids():
    first, second = (to_svg(sample(), name, "") for name in ("one", "two"))
    ids = [re.findall(r'\bid="([^"]+)"', svg) for svg in (first, second)]
    assert not set(ids[0]) & set(ids[1])
    assert len(set(ids[0])) == len(ids[0])
    referred = re.findall(r'(?:href="#|url\(#)([^")]+)', first)
    assert referred
    assert set(referred) <= set(ids[0])


def test_a_figure_is_the_same_at_each_call():
    assert to_svg(sample(), "one", "") == to_svg(sample(), "one", "")


def test_texts_are_escaped_and_no_mathematics():
    svg = to_svg(sample("<script>$x^$ & </script>"), "one", "")
    texts = [text.text for text in ElementTree.fromstring(svg).iter("text")]
    assert "<script>$x^$ & </script>" in texts


@pytest.mark.parametrize("name", ["$a_", "_hidden", "<b>", "plain"])
def test_any_name_stands_in_a_legend(name):
    figures = [
        profiles_figure([curve(name)], [curve("other")], "utility"),
        asking_figure([curve(name)], curve("exact ceiling")),
    ]
    for number, fig in enumerate(figures):
        svg = to_svg(fig, f"f{number}", "")
        texts = [str(text.text).strip() for text in ElementTree.fromstring(svg).iter("text")]
        assert name in texts


def test_a_point_that_is_not_known_is_left_out():
    values = np.array([0.4, np.nan, 0.2, 0.1])
    known = Curve("one", POINTS, values, values - 0.1, values + 0.1)
    line = success_by_bits_figure([known], None).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 2, 3]


def test_a_utility_below_zero_is_seen():
    ax = success_by_bits_figure([curve("one", -0.3)], curve("ceiling")).axes[0]
    assert ax.get_ylim()[0] < -0.4
    assert ax.get_ylim()[1] > 1


def test_one_price_has_its_interval_and_the_ceiling_is_seen():
    values = {name: np.array([y]) for name, y in (("x", 0.2), ("y", 0.5), ("low", 0.4))}
    one = Curve("pays", high=np.array([0.6]), **values)
    ax = asking_figure([one], one).axes[0]
    assert [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()] == [[0.4, 0.6]]
    assert list(ax.lines[1].get_ydata()) == [0.5, 0.5]

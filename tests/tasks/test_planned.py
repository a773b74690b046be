"""Planned paths of waypoints in figures."""

import numpy as np
import pytest
import torch

from langrl.agents.committed_paths import Plan
from langrl.agents.grounded import GroundedAgent
from langrl.grounding.config import GroundingConfig
from langrl.plots.maze import posterior_figure
from langrl.tasks.maze.agent import agent_maker
from langrl.tasks.maze.config import MazeEvaluationConfig
from langrl.tasks.maze.suite import MazeSuite
from langrl.tasks.planned import planned_way

pytestmark = pytest.mark.filterwarnings(
    "ignore:the waypoints are in", "ignore:no path of waypoints"
)
START = np.float32([1.5, 1.5])


@pytest.fixture
def maker(world, make_critics):
    """Return what makes agents with waypoints, of critics that have learned nothing."""
    density = torch.from_numpy(~world.walls / np.sum(~world.walls))
    config = GroundingConfig(waypoints=30, cutoff=0.001, directions=4)
    return agent_maker(world, *make_critics(), config, density)


def planned_labels(fig):
    return [line.get_label() for line in fig.axes[0].lines].count("planned path")


def test_a_way_is_where_a_plan_leads(maker):
    agent = maker(cutoff=900.0)
    way, note = planned_way(agent, START, "row 3")
    assert way.shape[1] == 2
    assert note == ""
    assert np.array_equal(way, agent.plan({"observation": START}, "row 3").places)


def test_where_no_path_leads_the_figure_says_so(maker):
    agent = maker()
    agent.plan = lambda *_: Plan(START[None], np.inf)
    way, note = planned_way(agent, START, "row 3")
    assert way is None
    assert note == "\nno path of waypoints: by the critic alone"


def test_agents_without_waypoints_plan_nothing(maker):
    assert planned_way(maker(waypoints=0), START, "row 3") == (None, "")
    assert planned_way(maker(strategy="log_sum_exp"), START, "row 3") == (None, "")
    assert planned_way(object(), START, "row 3") == (None, "")


@pytest.mark.parametrize("waypoints", [0, 30])
def test_beliefs_in_a_maze_show_the_planned_path(world, maker, waypoints):
    suite = MazeSuite(world.layout, MazeEvaluationConfig(episodes=2))

    def make():
        agent = maker(cutoff=900.0, waypoints=waypoints, candidates=20)
        assert isinstance(agent, GroundedAgent)
        return agent

    fig = suite.draw_posteriors(make, ("go to row 3",))
    assert planned_labels(fig) == (waypoints > 0)
    legend = [text.get_text() for text in fig.legends[0].get_texts()]
    assert ("planned path" in legend) == (waypoints > 0)


def test_a_way_in_a_maze_is_drawn_by_rows_and_columns(world):
    way = np.float32([[1.5, 0.5], [3.5, 2.5]])
    (line,) = posterior_figure(world.walls, [{"way": way}], "title").axes[0].lines
    assert line.get_xdata().tolist() == [0.5, 2.5]
    assert line.get_ydata().tolist() == [1.5, 3.5]

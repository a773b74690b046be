from dataclasses import replace
from types import SimpleNamespace

import pytest
from small_benchmark import GRID, STREET

from langrl.benchmark.entrants import ENTRANTS, Setting
from langrl.benchmark.families import World


class Made(Exception):
    """Says which agent was to be made."""


def make(**grounding):
    raise Made(grounding)


@pytest.mark.parametrize(("world", "strategy"), [(STREET, "max_goal"), (GRID, "nearest_goal")])
@pytest.mark.parametrize("entrant", ["offline-pays", "online-conformal", "online-never"])
def test_an_agent_that_asks_goes_where_that_loses_least_in_its_world(entrant, world, strategy):
    with pytest.raises(Made) as made:
        ENTRANTS[entrant].make(Setting(World(world), trained=make))
    assert made.value.args == ({"strategy": strategy},)


def test_agents_of_one_setting_share_what_they_compute_whatever_the_price_is():
    setting = Setting(World(GRID), trained=lambda **_: SimpleNamespace(shared=None))
    agents = [each.make() for each in (setting, replace(setting, price=0.2))]
    assert agents[0].shared is agents[1].shared is setting.shared
    assert Setting(World(GRID)).shared is not setting.shared

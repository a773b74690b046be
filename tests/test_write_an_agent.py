import re

from documents import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "write-an-agent.md"


def run(code, capsys):
    exec(compile(code, PAGE.name, "exec"), {})
    return capsys.readouterr().out


def test_the_agent_of_the_page_is_compared_and_runs_many_episodes(capsys):
    printed = run(blocks(PAGE, "python")[0], capsys)
    success = {
        name: float(rate) for name, rate in re.findall(r"(\w+) .*?'success': ([\d.]+)", printed)
    }
    assert set(success) == {"straight", "random"}
    assert all(0 < rate < 1 for rate in success.values())
    assert int(re.search(r"(\d+) episodes", printed)[1]) > 50


def test_the_random_baseline_of_the_page_is_below_the_policy(capsys):
    direct, chance = map(float, run(blocks(PAGE, "python")[1], capsys).split())
    assert chance < direct < 1

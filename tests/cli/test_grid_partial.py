import shutil

import numpy as np
import pytest
import yaml
from command_line import read_results, read_weights, run_langrl
from PIL import Image
from safetensors.torch import load_file
from small_runs import PARTIAL

from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import find_checkpoint
from langrl.tasks.grid.suite import make_grid_tasks


@pytest.fixture(scope="module")
def tiny(tiny_language):
    return [*PARTIAL, "--language", str(tiny_language)]


@pytest.fixture(scope="module")
def run(small_run):
    return small_run("partial")


def test_a_run_leaves_results_and_images(run):
    rows = {row["method"]: row for row in read_results(run)["rows"]}
    assert {"log_sum_exp", "nearest_goal", "sampled_goal", "max_goal", "random"} == set(rows)
    for name in ("training.png", "posterior.png"):
        pixels = np.asarray(Image.open(run / "figures" / name).convert("L"))
        assert pixels.std() > 5


@pytest.mark.usefixtures("blank_images")
def test_a_resumed_run_ends_with_the_same_bits(run, tmp_path):
    copy = tmp_path / "resumed"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints" / "step-12")
    assert run_langrl("train", "--resume", copy) == 0
    assert read_weights(copy) == read_weights(run)


def test_a_typed_text_is_followed_filmed_and_drawn(run, tmp_path, capsys):
    arguments = ["--instruction", "go to a red ball", "--episodes", 3, "--methods", "log_sum_exp"]
    assert run_langrl("evaluate", run, *arguments, "--out", tmp_path) == 0
    assert "the agent would face" in capsys.readouterr().out
    for name in ("instruction.png", "belief.png", "film-log_sum_exp.gif"):
        assert (tmp_path / "figures" / name).stat().st_size > 1000


def test_a_loaded_agent_acts_as_the_stored_one_and_remembers(run):
    agent = GroundedAgent.load(run, temperature=0)
    env = make_grid_tasks("rooms", 3, view=7)
    observation, _ = env.reset(seed=1)
    agent.reset(np.random.default_rng(0))
    first = agent.act(observation)
    context = agent._batch.context.clone()
    observation, *_ = env.step(first)
    agent.act(observation)
    assert not np.array_equal(context.numpy(), agent._batch.context.numpy())
    agent.keep(np.array([True, False, True]))
    kept = {name: observation[name][[0, 2]] for name in ("observation",)}
    assert agent.act(kept, "find a key").shape == (2,)


def test_single_steps_are_those_of_a_batch(run):
    env = make_grid_tasks("rooms", 2, view=7)
    batched, alone = (GroundedAgent.load(run, temperature=0) for _ in range(2))
    observation, _ = env.reset(seed=2)
    for _ in range(4):
        seen = observation["observation"]
        together = batched.act({"observation": seen}, "find a key")
        assert alone.act({"observation": seen[0]}, "find a key") == together[0]
        observation, *_ = env.step(np.array([0, 0]))
        batched._batch.taken[:] = 0
        alone._batch.taken[:] = 0


@pytest.mark.usefixtures("blank_images")
def test_a_pretrained_history_can_be_frozen(tiny, run, tmp_path):
    from langrl.tasks.grid_partial.config import GridPartialRunConfig
    from langrl.tasks.presets import load_config
    from langrl.tasks.run import build_run

    config = load_config(str(run / "config.yaml"), GridPartialRunConfig)
    history = build_run(config, tmp_path).learner.critic.history
    history.save(tmp_path / "cpc")
    flags = ["--history.start", tmp_path / "cpc", "--history.frozen", "--learner.cpc-weight", "0"]
    assert run_langrl("train", *tiny, *flags, "--out", tmp_path / "frozen") == 0
    stored = load_file(find_checkpoint(tmp_path / "frozen") / "weights.safetensors")
    for name, value in history.named_parameters():
        assert np.array_equal(stored[f"history.{name}"].numpy(), value.detach().numpy())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--world.view", "4"], ["odd number of cells"]),
        (["--world.worlds", "room"], ["no grid world named 'room'", "rooms"]),
        (["--history.frozen"], ["history.start"]),
        (["--history.start", "nowhere"], ["no folder nowhere", "langrl pretrain --method cpc"]),
        (["--history.no-memory", "--learner.cpc-weight", "0.5"], ["cpc_weight has no effect"]),
        (["--learner.explorations", "1"], ["learner.explorations"]),
        (["--data.length", "1"], ["data.length"]),
        (["--language", "nowhere/at/all"], ["nowhere/at/all"]),
    ],
)
def test_wrong_settings_are_told_in_one_line(flags, words, tmp_path, capsys):
    assert run_langrl("train", "--config", "grid-partial", *flags, "--out", tmp_path / "no") == 2
    told = capsys.readouterr().err
    assert told.startswith("langrl: error: ")
    assert told.count("\n") == 1
    for word in words:
        assert word in told
    assert not (tmp_path / "no").exists()


def test_a_history_of_other_views_is_refused(tiny, run, tmp_path, capsys):
    from langrl.tasks.grid_partial.config import GridPartialRunConfig
    from langrl.tasks.presets import load_config
    from langrl.tasks.run import build_run

    config = load_config(str(run / "config.yaml"), GridPartialRunConfig)
    build_run(config, tmp_path).learner.critic.history.save(tmp_path / "cpc")
    flags = ["--history.start", tmp_path / "cpc", "--world.view", "5"]
    assert run_langrl("train", *tiny, *flags, "--out", tmp_path / "no") == 2
    assert "views of 5" in capsys.readouterr().err


@pytest.mark.usefixtures("blank_images")
def test_a_config_rerun_gives_the_same_weights(run, tmp_path):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["task"] == "grid-partial"
    assert run_langrl("train", "--config", run / "config.yaml", "--out", tmp_path / "again") == 0
    assert read_weights(tmp_path / "again") == read_weights(run)


def test_agent_that_sees_a_part_is_no_critic_of_a_policy(run, tmp_path, capsys):
    pytest.importorskip("stable_baselines3")
    flags = ["--critics", run, "--policy.steps", "200", "--out", tmp_path / "no"]
    assert run_langrl("train", "--config", "sb3-dqn-her-grid-goto", *flags) == 2
    assert "is of another world than" in capsys.readouterr().err
    with_encoder = [*flags, "--encoder", "frozen"]
    assert run_langrl("train", "--config", "sb3-dqn-her-grid-goto", *with_encoder) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_frozen_goal_encoder_of_an_agent_that_sees_a_part_is_refused(run):
    pytest.importorskip("stable_baselines3")
    import gymnasium as gym

    from langrl.agents.sb3.extractors import GoalEncoderExtractor
    from langrl.envs.wrappers.goals import GoalEnv
    from langrl.errors import CheckpointError

    space = GoalEnv(gym.make("langrl/GridGoTo-v0")).observation_space
    with pytest.raises(CheckpointError, match="sees a part of its world"):
        GoalEncoderExtractor(space, str(run))


def test_world_seen_in_part_has_no_goals_to_wrap():
    import gymnasium as gym

    from langrl.envs.wrappers.goals import GoalEnv
    from langrl.errors import LangRLError

    with pytest.raises(LangRLError, match="goals"):
        GoalEnv(gym.make("langrl/GridGoTo-Partial-v0"))

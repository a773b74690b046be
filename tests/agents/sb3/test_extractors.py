import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from langrl.agents.goal_policy import InstructionPolicy
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.rooms import (
    GRID_WORLDS,
    draw_rooms,
    is_free,
    list_poses,
    observe,
)
from langrl.envs.wrappers.instructions import EmbedInstruction
from langrl.envs.wrappers.text_features import EmbeddedText
from langrl.errors import CheckpointError, ShapeError
from langrl.models.critics.instructed import agent_view, free_cells, pose_offset
from langrl.tasks.grid.agent import build_grid_critic
from langrl.tasks.loading import load_agent

pytest.importorskip("stable_baselines3")

from sb3_policies import (
    BOX,
    CENTRED,
    GRID,
    INSTRUCTED,
    MAZE,
    SIZES,
    build,
    changed,
    encode,
    seeded,
    train,
    weights,
    write_grid_agent,
)
from stable_baselines3 import DQN, PPO

from langrl.agents.sb3.extractors import (
    FourierExtractor,
    GoalEncoderExtractor,
    InstructionExtractor,
    PoseExtractor,
)

COMBINATIONS = [
    ("ppo", "maze embedded", InstructionExtractor, INSTRUCTED),
    ("sac", "maze tokens", InstructionExtractor, INSTRUCTED),
    ("dqn", "grid embedded", InstructionExtractor, CENTRED),
    ("dqn", "grid tokens", InstructionExtractor, {**INSTRUCTED, "codes": 11}),
    ("ppo", "maze batched", InstructionExtractor, INSTRUCTED),
    ("ppo", "grid batched", InstructionExtractor, CENTRED),
    ("dqn", "grid batched", InstructionExtractor, CENTRED),
    ("sac", "maze goals", FourierExtractor, {"octaves": 2}),
    ("ppo", "maze goals", FourierExtractor, {}),
    ("dqn", "grid goals", PoseExtractor, {"features_dim": 8}),
    ("dqn", "grid told", PoseExtractor, {"features_dim": 8}),
    ("ppo", "grid goals", PoseExtractor, {"features_dim": 8}),
]


@pytest.mark.parametrize(("algorithm", "env", "extractor", "features"), COMBINATIONS)
def test_features_are_trained_through_policy_kwargs(algorithm, env, extractor, features, worlds):
    model = build(algorithm, worlds[env](), extractor, **features)
    before = weights(model.policy)
    model.learn(24)
    after = weights(model.policy)
    learned = [name for name, _ in model.policy.named_parameters() if "target" not in name]
    assert all(value.isfinite().all() for value in after.values())
    assert len(changed(before, after)) >= 0.8 * len(learned)


def test_batches_as_environments_give_them_are_predicted_on(worlds):
    env = worlds["grid embedded"]()
    model = train("dqn", env, InstructionExtractor, **CENTRED)
    agent = InstructionPolicy(model, EmbeddedText(encode), axes=3)
    rooms = draw_rooms(GRID_WORLDS["goto"], 4, seeded())
    seen = observe(rooms, np.stack([list_poses(free)[5] for free in is_free(rooms)]))
    texts = ["go to the red ball", "find a key", "a box", "dance"]
    together = agent.act({"observation": seen, "instruction": texts})
    assert together.shape == (4,)
    for room, text, action in zip(seen, texts, together, strict=True):
        assert agent.act({"observation": room, "instruction": text}) == action


def observations_of(space, count=5):
    return {
        name: torch.as_tensor(np.stack([part.sample() for _ in range(count)])).float()
        for name, part in space.items()
    }


def test_fourier_features_worked_by_hand(worlds):
    space = spaces.Dict(
        observation=spaces.Box(0, 4, (1,), np.float32),
        desired_goal=spaces.Box(-1, 1, (2,), np.float32),
    )
    extractor = FourierExtractor(space, octaves=1)
    assert extractor.features_dim == 3 * 3
    seen = {"observation": torch.tensor([[3.0]]), "desired_goal": torch.tensor([[0.0, 1.0]])}
    half = 0.5**0.5
    expected = [0.5, half, half, 0, 1, 0, 1, 1, 0]
    assert extractor(seen)[0].tolist() == pytest.approx(expected, abs=1e-6)


def grid_batch(count=6, size="goto"):
    """Rooms [B, H, W, 3] with agents, poses as goals, and texts as numbers."""
    generator = seeded(3)
    rooms = draw_rooms(GRID_WORLDS[size], count, generator)
    poses, goals = (
        np.stack([generator.choice(list_poses(free)) for free in is_free(rooms)]) for _ in "ab"
    )
    return rooms, poses, goals


def as_tensors(rooms, poses, goals):
    def flagged(listed, said):
        return torch.from_numpy(np.c_[listed, np.full(len(listed), said)]).float()

    return {
        "observation": torch.from_numpy(observe(rooms, poses)).float(),
        "achieved_goal": flagged(poses, 0),
        "desired_goal": flagged(goals, 1),
        "instruction": torch.arange(3.0).expand(len(poses), 3),
    }


def grid_space(size=8, first=False):
    shape = (3, size, size) if first else (size, size, 3)
    pose = PoseGoals(size).space
    return spaces.Dict(
        observation=spaces.Box(0, 255, shape, np.uint8),
        achieved_goal=pose,
        desired_goal=pose,
        instruction=spaces.Box(-np.inf, np.inf, (3,), np.float32),
    )


def make_extractor(kind, space, grid_agent):
    torch.manual_seed(0)
    return {
        "instruction": lambda: InstructionExtractor(space, **CENTRED),
        "codes": lambda: InstructionExtractor(space, **INSTRUCTED, codes=12),
        "pose": lambda: PoseExtractor(space, 8),
        "encoder": lambda: GoalEncoderExtractor(space, str(grid_agent)),
    }[kind]()


KINDS = ("instruction", "codes", "pose", "encoder")


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_were_turned_around_have_the_same_features(kind, grid_agent):
    seen = as_tensors(*grid_batch())
    turned = {**seen, "observation": seen["observation"].permute(0, 3, 1, 2)}
    last = make_extractor(kind, grid_space(), grid_agent)(seen)
    first = make_extractor(kind, grid_space(first=True), grid_agent)(turned)
    assert last.shape[0] == 6
    torch.testing.assert_close(first, last)


@pytest.mark.parametrize("kind", ["instruction", "pose"])
def test_a_world_that_is_turned_around_looks_the_same_to_its_agent(kind, grid_agent):
    rooms, poses, goals = grid_batch()
    extractor = make_extractor(kind, grid_space(), grid_agent)
    turned = np.rot90(rooms, -1, (1, 2))  # clockwise

    def turn(listed):
        row, column, direction = listed.T
        return np.stack([column, 7 - row, (direction + 1) % 4], 1)

    features = extractor(as_tensors(rooms, poses, goals))
    torch.testing.assert_close(
        extractor(as_tensors(np.ascontiguousarray(turned), turn(poses), turn(goals))), features
    )
    assert not torch.allclose(extractor(as_tensors(rooms, turn(goals), goals))[:2], features[:2])


def test_a_pose_extractor_reads_the_view_and_the_way(grid_agent):
    seen = as_tensors(*grid_batch())
    extractor = make_extractor("pose", grid_space(), grid_agent)
    cells = free_cells(agent_view(seen["observation"].permute(0, 3, 1, 2))).flatten(1)
    way = pose_offset(seen["achieved_goal"], seen["desired_goal"])
    torch.testing.assert_close(extractor(seen), extractor.net(torch.cat([cells, way], 1)))


def test_vectors_and_grey_images_without_channels_are_read_as_numbers():
    for shape in ((4,), (5, 6)):
        space = spaces.Dict(
            observation=spaces.Box(0, 1, shape, np.float32),
            instruction=spaces.Box(0, 9, (7,), np.int32),
        )
        extractor = InstructionExtractor(space, **INSTRUCTED)
        assert extractor(observations_of(space)).shape == (5, 8)


def test_images_of_brightness_are_read_as_they_come():
    space = spaces.Dict(
        observation=spaces.Box(0, 255, (20, 30, 3), np.uint8),
        instruction=spaces.Box(-1, 1, (7,), np.float32),
    )
    extractor = InstructionExtractor(space, **INSTRUCTED)
    seen = observations_of(space)
    seen["observation"] /= 255
    assert extractor(seen).shape == (5, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_codes_that_were_divided_are_refused_with_the_repair(kind, grid_agent):
    seen = as_tensors(*grid_batch())
    seen["observation"] /= 255
    with pytest.raises(ShapeError, match=r'policy_kwargs=\{"normalize_images": False\}'):
        make_extractor(kind, grid_space(), grid_agent)(seen)


def test_the_repair_is_told_where_it_is_forgotten(worlds):
    policy = {"features_extractor_class": PoseExtractor}
    model = PPO("MultiInputPolicy", worlds["grid goals"](), policy_kwargs=policy, n_steps=64)
    with pytest.raises(ShapeError, match="normalize_images"):
        model.learn(64)


INSTRUCTION = spaces.Box(-1, 1, (3,), np.float32)
ROOM = spaces.Box(0, 255, (8, 8, 3), np.uint8)
POSE = PoseGoals(8).space


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: InstructionExtractor(gym.make(MAZE).observation_space),
            "'instruction' is .*use EmbedInstruction or TokenizeInstruction",
        ),
        (
            lambda: InstructionExtractor(spaces.Dict(observation=BOX)),
            "needs observations with 'instruction'; use EmbedInstruction or Tokenize",
        ),
        (lambda: InstructionExtractor(BOX), "needs observations with 'observation'"),
        (
            lambda: InstructionExtractor(
                spaces.Dict(observation=spaces.Discrete(4), instruction=INSTRUCTION)
            ),
            r"'observation' is Discrete\(4\); use FlattenObservation",
        ),
        (
            lambda: InstructionExtractor(spaces.Dict(observation=BOX, instruction=ROOM)),
            r"an instruction is a vector here, got \[8, 8, 3\]",
        ),
        (
            lambda: InstructionExtractor(
                spaces.Dict(observation=BOX, instruction=INSTRUCTION), centre_on_agent=True
            ),
            r"\[2\] are no images.*leave codes and centre_on_agent out",
        ),
        (
            lambda: InstructionExtractor(
                spaces.Dict(observation=BOX, instruction=INSTRUCTION), codes=4
            ),
            "are no images",
        ),
        (
            lambda: FourierExtractor(spaces.Dict(observation=BOX)),
            "'desired_goal'; use GoalEnv",
        ),
        (
            lambda: FourierExtractor(
                spaces.Dict(observation=BOX, desired_goal=spaces.Box(-np.inf, np.inf, (2,)))
            ),
            "with bounds.*give the Box finite low and high",
        ),
        (
            lambda: FourierExtractor(
                spaces.Dict(observation=BOX, desired_goal=spaces.Box(0, np.float32([1, 0])))
            ),
            "low below high",
        ),
        (
            lambda: FourierExtractor(spaces.Dict(observation=ROOM, desired_goal=POSE)),
            "use PoseExtractor in grid worlds",
        ),
        (
            lambda: PoseExtractor(spaces.Dict(observation=ROOM, desired_goal=POSE)),
            "needs observations with 'achieved_goal'; use GoalEnv",
        ),
        (
            lambda: PoseExtractor(
                spaces.Dict(observation=BOX, achieved_goal=BOX, desired_goal=BOX)
            ),
            r"rooms \[H, W, 3\] and poses \[4\], got \[2\] and \[2\].*GoalEnv",
        ),
    ],
)
def test_observations_that_an_extractor_cannot_read_are_refused(make, told):
    with pytest.raises(ShapeError, match=told):
        make()


def test_brightness_is_no_room(grid_agent):
    seen = {**as_tensors(*grid_batch()), "observation": torch.full((6, 8, 8, 3), 200.0)}
    with pytest.raises(ShapeError, match="holds 200"):
        make_extractor("instruction", grid_space(), grid_agent)(seen)
    empty = {**seen, "observation": torch.zeros(6, 8, 8, 3)}
    for kind in ("instruction", "pose"):
        with pytest.raises(ShapeError, match="shows the agent in one cell"):
            make_extractor(kind, grid_space(), grid_agent)(empty)


# -- trained encoders --------------------------------------------------------------------------

ENCODED = [
    ("sac", "maze goals"),
    ("ppo", "maze goals"),
    ("dqn", "grid goals"),
    ("ppo", "grid goals"),
]


@pytest.fixture(scope="module")
def agents(maze_agent, grid_agent):
    return {"maze goals": maze_agent, "grid goals": grid_agent}


def encoders(policy):
    """Every encoder that a policy holds, of which some are shared."""
    found = [module for module in policy.modules() if isinstance(module, GoalEncoderExtractor)]
    return [module.trained if module.fine_tune else module._frozen[0] for module in found]


@pytest.mark.parametrize(("algorithm", "env"), ENCODED)
def test_frozen_encoders_stay_what_they_are_and_out_of_the_policy(algorithm, env, worlds, agents):
    critic = load_agent(agents[env]).critic
    model = build(algorithm, worlds[env](), GoalEncoderExtractor, agent=str(agents[env]))
    before = weights(model.policy)
    model.learn(24)
    after = weights(model.policy)
    assert encoders(model.policy)
    for encoder in encoders(model.policy):
        assert not changed(weights(critic), weights(encoder))
        assert not any(parameter.requires_grad for parameter in encoder.parameters())
    names = set(critic.state_dict())
    assert not any(key.endswith(tuple(names)) for key in after)
    assert [key for key in after if "digest" in key]
    assert changed(before, after)
    assert not [key for key in changed(before, after) if "features_extractor" in key]


@pytest.mark.parametrize(("algorithm", "env"), ENCODED)
def test_fine_tuned_encoders_begin_as_they_were_trained_and_change(algorithm, env, worlds, agents):
    critic = load_agent(agents[env]).critic
    features = {"agent": str(agents[env]), "fine_tune": True}
    model = build(algorithm, worlds[env](), GoalEncoderExtractor, **features)
    for encoder in encoders(model.policy):  # PPO draws other layers' weights anew
        assert not changed(weights(critic), weights(encoder))
    model.learn(24)
    (*_, encoder) = [e for e in encoders(model.policy) if changed(weights(critic), weights(e))]
    kept = set(weights(encoder)) - changed(weights(critic), weights(encoder))
    assert all("goal" not in name or "position" in name for name in kept)
    assert {f"features_extractor.trained.{name}" for name in critic.state_dict()} <= {
        key[key.index("features_extractor") :] if "features_extractor" in key else key
        for key in model.policy.state_dict()
    }


def test_features_are_the_critics(grid_agent, maze_agent):
    seen = as_tensors(*grid_batch())
    extractor = GoalEncoderExtractor(grid_space(), str(grid_agent))
    critic = load_agent(grid_agent).critic
    with torch.no_grad():
        expected = critic.features(seen["observation"], seen["desired_goal"])
    assert extractor.features_dim == expected.shape[1]
    torch.testing.assert_close(extractor(seen), expected)
    positions = torch.rand(4, 2) * 5
    maze = spaces.Box(0, 5, (2,), np.float32)
    space = spaces.Dict(observation=maze, desired_goal=maze)
    tuned = GoalEncoderExtractor(space, str(maze_agent), fine_tune=True)
    features = tuned({"observation": positions, "desired_goal": positions.flip(0)})
    assert features.requires_grad
    torch.testing.assert_close(features, tuned.trained.features(positions, positions.flip(0)))


def test_an_encoder_of_another_world_is_refused(maze_agent, grid_agent):
    larger = spaces.Box(0, 13, (2,), np.float32)
    maze = spaces.Dict(observation=larger, desired_goal=larger)
    with pytest.raises(CheckpointError, match=r"of another world.*train one there"):
        GoalEncoderExtractor(grid_space(), str(maze_agent))
    with pytest.raises(CheckpointError, match="of another world"):
        GoalEncoderExtractor(maze, str(grid_agent))
    with pytest.raises(CheckpointError, match="of another world"):  # 13 x 13 cells, not 5 x 5
        GoalEncoderExtractor(maze, str(maze_agent))
    with pytest.raises(CheckpointError, match="no-such-run"):
        GoalEncoderExtractor(maze, "no-such-run")
    with pytest.raises(ShapeError, match="'desired_goal'; use GoalEnv"):
        GoalEncoderExtractor(spaces.Dict(observation=ROOM), str(grid_agent))


def test_the_zip_does_not_grow_with_the_encoders(worlds, tiny_language, tmp_path):
    class Encoder:
        def __init__(self, numbers):
            self.numbers = torch.rand(numbers)

        def encode_text(self, texts):
            return torch.ones(len(texts), 4)

    def size(env, extractor, **features):
        model = train("dqn", env, extractor, **features)
        model.save(tmp_path / "policy")
        return (tmp_path / "policy.zip").stat().st_size

    small, huge = (
        size(
            EmbedInstruction(gym.make(GRID), Encoder(numbers)),
            InstructionExtractor,
            **INSTRUCTED,
            codes=12,
        )
        for numbers in (1, 10_000_000)
    )
    assert abs(huge - small) < 2000
    agent = write_grid_agent(tmp_path / "agent", tiny_language)
    options = {"env": worlds["grid goals"](), "agent": str(agent)}
    frozen = size(**options, extractor=GoalEncoderExtractor)
    tuned = size(**options, extractor=GoalEncoderExtractor, fine_tune=True)
    numbers = sum(p.numel() for p in build_grid_critic(SIZES, 0).parameters())
    assert tuned - frozen > 2 * 4 * numbers  # in the policy and in its target


LOAD = """
import sys, numpy as np, torch
from stable_baselines3 import DQN
torch.set_num_threads(1)
seen = dict(np.load(sys.argv[1]))
for policy in sys.argv[2:]:
    print(DQN.load(policy, device="cpu").predict(seen, deterministic=True)[0].tolist())
"""


def test_saved_policies_act_the_same_in_a_fresh_process(worlds, tiny_language, tmp_path):
    folder = write_grid_agent(tmp_path / "agent", tiny_language)
    env = worlds["grid goals"]()
    seen = as_tensors(*grid_batch(40))
    seen = {name: seen[name].numpy() for name in env.observation_space}
    seen["observation"] = seen["observation"].astype(np.uint8)
    np.savez(tmp_path / "seen.npz", **seen)
    expected = []
    for name, fine_tune in (("frozen.zip", False), ("tuned.zip", True)):
        model = train("dqn", env, GoalEncoderExtractor, agent=str(folder), fine_tune=fine_tune)
        model.save(tmp_path / name)
        expected.append(str(model.predict(seen, deterministic=True)[0].tolist()))
    files = [tmp_path / name for name in ("seen.npz", "frozen.zip", "tuned.zip")]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *files],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected


def test_a_policy_whose_encoder_has_changed_or_gone_is_not_loaded(worlds, tiny_language, tmp_path):
    folder = write_grid_agent(tmp_path / "agent", tiny_language)
    env = worlds["grid goals"]()
    train("dqn", env, GoalEncoderExtractor, agent=str(folder)).save(tmp_path / "policy")
    train("dqn", env, GoalEncoderExtractor, agent=str(folder), fine_tune=True).save(
        tmp_path / "tuned"
    )
    assert DQN.load(tmp_path / "policy").predict(env.reset()[0])
    moved = folder.rename(tmp_path / "moved")
    for name in ("policy", "tuned"):
        with pytest.raises(CheckpointError, match="agent"):
            DQN.load(tmp_path / name)
    write_grid_agent(folder, tiny_language, seed=1)
    with pytest.raises(CheckpointError, match=r"another encoder than that of .*agent now; put"):
        DQN.load(tmp_path / "policy")
    tuned = DQN.load(tmp_path / "tuned")  # its weights are in the zip
    original = load_agent(moved).critic.state_dict()
    fresh = load_agent(folder).critic.state_dict()
    (encoder, *_) = encoders(tuned.policy)
    assert changed(fresh, encoder.state_dict())
    assert set(encoder.state_dict()) == set(original)
    kwargs = {**tuned.policy_kwargs, "features_extractor_kwargs": {"agent": str(moved)}}
    loaded = DQN.load(tmp_path / "policy", custom_objects={"policy_kwargs": kwargs})
    assert not changed(original, encoders(loaded.policy)[0].state_dict())


def test_one_hot_images_are_read_where_their_channels_are_said():
    space = spaces.Dict(observation=spaces.Box(0, 1, (7, 7, 20)), instruction=INSTRUCTION)
    with pytest.raises(ShapeError, match=r"\[7, 7, 20\].*channels.*features_extractor_kwargs"):
        InstructionExtractor(space, **INSTRUCTED)
    with pytest.raises(ShapeError, match="are no images"):
        InstructionExtractor(spaces.Dict(observation=BOX, instruction=INSTRUCTION), channels=20)
    seen, features = observations_of(space), []
    for channels in (20, "last"):
        torch.manual_seed(0)
        features.append(InstructionExtractor(space, **INSTRUCTED, channels=channels)(seen))
    assert torch.equal(*features)
    assert InstructionExtractor(space, **INSTRUCTED, channels=20).body.describe.in_features == 20

"""What wrappers do at a reset: options, seeds, and tasks that the start satisfies already."""

from functools import partial

import gymnasium
import minigrid  # noqa: F401  registers its levels
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from wrapped_environments import (
    TEXTS,
    TOKENISER,
    PlaceLanguage,
    cart,
    drawn_cart,
    encode,
    encode_images,
    equal,
    follow_cart,
    follow_maze,
    is_there,
    place_goals,
    refused,
    small_maze,
    text_cart,
)

from langrl.envs.goals import NO_TASK, BoxGoals
from langrl.envs.wrappers.goals import GoalEnv, RenderedGoals
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction, TokenizeInstruction
from langrl.errors import GroundingError, InstructionError
from langrl.grounding.candidates import ListedCandidates
from langrl.grounding.instruction_to_goal import InstructionToGoal

# -- seeds ---------------------------------------------------------------------------------------


class Unseeded(gymnasium.Env):
    """A place on a line, in [0, 1]; the environment does not seed a generator of its own."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.at = np.zeros(1, np.float32)

    def reset(self, *, seed=None, options=None):
        self.at = np.zeros(1, np.float32)
        return self.at.copy(), {}

    def step(self, action):
        self.at = np.clip(self.at + (0.25 if action else -0.25), 0, 1).astype(np.float32)
        return self.at.copy(), 0.0, False, False, {}

    def render(self):
        frame = np.zeros((4, 12, 3), np.uint8)
        frame[:, int(self.at[0] * 8) : int(self.at[0] * 8) + 4] = 255
        return frame


LINE = BoxGoals([0], [1], 0.1)


def written(seen, generator):
    """A text that shows what was drawn."""
    return f"go to {generator.integers(10**9)}"


def follow_line(grounding):
    places = ListedCandidates(np.linspace(0, 1, 101, dtype=np.float32)[:, None])
    told = AddInstruction(Unseeded(), ["go right"], LINE)
    return InstructionToGoal(told, PlaceLanguage(), grounding, places)


DRAWN = {
    "a text of a list": (
        lambda: AddInstruction(Unseeded(), [f"go to {n}" for n in range(10**4)]),
        "instruction",
    ),
    "a text of a function": (lambda: AddInstruction(Unseeded(), written), "instruction"),
    "a goal": (lambda: GoalEnv(Unseeded(), LINE), "desired_goal"),
    "an image": (
        lambda: RenderedGoals(Unseeded("rgb_array"), encode_images, similarity=0.99),
        "desired_goal",
    ),
    "a sampled goal": (lambda: follow_line("sampled_goal"), "desired_goal"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_an_environment_that_seeds_nothing_draws_the_same_for_a_seed(name):
    make, key = DRAWN[name]
    env, another = make(), make()
    drawn = [env.reset(seed=3)[0][key] for _ in range(3)]
    drawn.append(another.reset(seed=3)[0][key])
    assert all(np.array_equal(each, drawn[0]) for each in drawn)
    after = [env.reset()[0][key] for _ in range(8)]
    assert not all(np.array_equal(each, after[0]) for each in after)
    another.reset(seed=3)
    assert equal(after, [another.reset()[0][key] for _ in range(8)])


def test_wrappers_of_one_environment_draw_from_streams_of_their_own():
    told, bare = text_cart(written), cart()
    for seed in (0, 1, None, None):
        seen, _ = told.reset(seed=seed)
        assert np.array_equal(seen["observation"], bare.reset(seed=seed)[0])
    numbers = AddInstruction(Unseeded(), written).reset(seed=5)[0]["instruction"]
    assert numbers != f"go to {np.random.default_rng(5).integers(10**9)}"


# -- tasks that are done at the start --------------------------------------------------------------


def test_an_instruction_that_the_start_satisfies_is_drawn_again():
    env = text_cart(goals=place_goals(), denotation=is_there)
    said = set()
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        text = observation["instruction"]
        assert info["started_satisfied"] is False
        assert not is_there(observation["observation"][None, :1], text)[0]
        said.add(text)
    assert said == set(TEXTS)


def test_it_is_reported_where_every_instruction_is_satisfied_or_one_is_set():
    env = text_cart(goals=place_goals(), denotation=lambda goals, text: goals[:, 0] < 9)
    _, info = env.reset(seed=0)
    assert info["started_satisfied"] is True
    env = text_cart(goals=place_goals(), denotation=is_there)
    for text, satisfied in (("go right", True), ("go left", False), ("sing", False)):
        options = {"instruction": text, "low": 0.04, "high": 0.05}
        observation, info = env.reset(seed=0, options=options)
        assert observation["instruction"] == text
        assert info["started_satisfied"] is satisfied
        assert info["is_success"] is False
    assert "started_satisfied" not in text_cart().reset(seed=0)[1]  # where it is not known


def test_the_stock_level_of_minigrid_is_no_success_after_one_turn():
    level = gymnasium.make("MiniGrid-Empty-8x8-v0", max_steps=20)
    space = spaces.Box(0, 7, (2,), np.float32)

    def position(_):
        return np.float32(level.unwrapped.agent_pos)

    def row_of(goals, text):
        return goals[:, 1] == {"go to the top row": 1, "go to the bottom row": 6}[text]

    places = gymnasium.wrappers.TransformObservation(level, position, space)
    texts = ["go to the top row", "go to the bottom row"]
    env = AddInstruction(places, texts, BoxGoals([1, 1], [6, 6], 0.5), row_of)
    for seed in range(10):
        observation, info = env.reset(seed=seed)
        assert observation["instruction"] == "go to the bottom row"
        assert (info["started_satisfied"], env.step(0)[4]["is_success"]) == (False, False)
    _, info = env.reset(options={"instruction": "go to the top row"})
    assert (info["started_satisfied"], env.step(0)[4]["is_success"]) == (True, True)


def test_a_goal_that_the_start_reaches_is_drawn_again():
    wide = BoxGoals([-0.2], [0.2], 0.1)  # a random goal is reached every second time
    env = GoalEnv(cart(), wide)
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        assert info["started_satisfied"] is False
        assert not wide.reached(observation["achieved_goal"], observation["desired_goal"])


def test_it_is_reported_where_every_goal_is_reached_or_one_is_set():
    assert GoalEnv(cart(), BoxGoals([-0.2], [0.2], 9)).reset(seed=0)[1]["started_satisfied"] is True
    env = GoalEnv(small_maze())
    for goal, satisfied in (((0.2, 0.2), True), ((0.5, 3.5), False)):
        options = {"position": (0.5, 0.5), "desired_goal": goal}
        _, info = env.reset(seed=0, options=options)
        assert info["started_satisfied"] is satisfied


def test_goals_of_mazes_and_images_do_not_begin_reached():
    for env in (GoalEnv(small_maze()), drawn_cart()):
        for seed in range(30):
            observation, info = env.reset(seed=seed)
            assert info["started_satisfied"] is False
            goals = observation["achieved_goal"], observation["desired_goal"]
            assert not env.goals.reached(*goals)


def test_following_hands_on_what_is_known_of_the_start():
    places = ListedCandidates(np.float32([[-0.5], [0.5]]))
    told = text_cart(goals=place_goals(), denotation=is_there)
    env = InstructionToGoal(told, PlaceLanguage(), "max_goal", places)
    for text, satisfied in (("go right", True), ("go left", False)):
        options = {"instruction": text, "low": 0.04, "high": 0.05}
        assert env.reset(seed=0, options=options)[1]["started_satisfied"] is satisfied
    assert "started_satisfied" not in follow_cart().reset(seed=0)[1]
    maze = follow_maze()
    for row, satisfied in ((0.5, True), (2.5, False)):
        options = {"instruction": "row 0", "position": (row, 0.5)}
        assert maze.reset(seed=0, options=options)[1]["started_satisfied"] is satisfied


def test_following_says_whether_the_goal_that_is_chosen_is_reached_at_the_start():
    env = follow_cart()
    env.reset(seed=0)
    for where, reached in ((0.5, True), (0.0, False)):
        options = {"instruction": "go right", "low": where, "high": where}
        _, info = env.reset(seed=0, options=options)
        assert info["goal_reached"] is reached


def test_vector_environments_hold_it_in_an_array():
    envs = SyncVectorEnv([partial(text_cart, goals=place_goals(), denotation=is_there)] * 3)
    _, infos = envs.reset(seed=0, options={"instruction": "go right", "low": 0.04, "high": 0.05})
    assert infos["started_satisfied"].tolist() == [True] * 3


# -- options -------------------------------------------------------------------------------------

OPTIONED = {
    "AddInstruction": text_cart,
    "EmbedInstruction": lambda: EmbedInstruction(small_maze(), encode),
    "EmbedInstruction of a cart": lambda: EmbedInstruction(text_cart(), encode),
    "TokenizeInstruction": lambda: TokenizeInstruction(text_cart(), TOKENISER),
    "GoalEnv": lambda: GoalEnv(small_maze()),
    "GoalEnv of a cart that is told": lambda: GoalEnv(text_cart(), place_goals()),
    "InstructionToGoal": follow_cart,
    "InstructionToGoal in a maze": follow_maze,
}


@pytest.mark.parametrize("name", ["instructions", "Instruction", "INSTRUCTION", "instrction"])
@pytest.mark.parametrize("wrapped", OPTIONED)
def test_a_slip_in_the_name_of_an_option_is_refused_by_name(wrapped, name):
    env, same = OPTIONED[wrapped](), OPTIONED[wrapped]()
    for each in (env, same):
        each.reset(seed=0)
    wrapper = wrapped.split()[0]
    says = f"{wrapper} has no reset option '{name}'; did you mean 'instruction'"
    refused(lambda: env.reset(options={name: "go left"}), InstructionError, says)
    env.action_space.seed(0)
    action = env.action_space.sample()
    assert equal(env.step(action), same.step(action))  # the episode goes on
    assert equal(env.reset(), same.reset())


@pytest.mark.parametrize("name", ["desired_goals", "desiredgoal", "Desired_Goal"])
@pytest.mark.parametrize(
    "make", [lambda: GoalEnv(cart(), place_goals()), lambda: GoalEnv(small_maze()), drawn_cart]
)
def test_a_slip_in_the_name_of_the_goal_is_refused_by_name(make, name):
    refused(
        lambda: make().reset(seed=0, options={name: [0.1]}),
        InstructionError,
        f"no reset option '{name}'; did you mean 'desired_goal'",
    )


def test_a_goal_is_not_set_where_instructions_choose_it():
    refused(
        lambda: follow_cart().reset(options={"desired_goal": [0.1]}),
        GroundingError,
        "InstructionToGoal chooses the desired_goal itself; set the option 'instruction'",
    )


@pytest.mark.parametrize("options", ["go left", ["instruction"], 3])
@pytest.mark.parametrize("wrapped", ["AddInstruction", "EmbedInstruction", "GoalEnv"])
def test_options_that_are_no_dict_are_refused(wrapped, options):
    refused(
        lambda: OPTIONED[wrapped]().reset(options=options),
        InstructionError,
        f"options of {wrapped} are a dict such as .*got {type(options).__name__}",
    )


@pytest.mark.parametrize("wrapped", ["EmbedInstruction", "GoalEnv", "InstructionToGoal in a maze"])
def test_worlds_refuse_whatever_they_do_not_know(wrapped):
    refused(
        lambda: OPTIONED[wrapped]().reset(options={"place": (0.5, 0.5)}),
        InstructionError,
        "no reset option 'place'; use 'instruction', 'position', 'noise_seed' or 'intended'",
    )


class Optioned(Unseeded):
    """Notes the options that it gets."""

    def reset(self, *, seed=None, options=None):
        self.options = options
        return super().reset(seed=seed, options=options)


@pytest.mark.parametrize(
    "wrap",
    [lambda env: AddInstruction(env, TEXTS), lambda env: GoalEnv(env, LINE)],
)
def test_options_that_the_environment_may_know_are_handed_on(wrap):
    env = Optioned()
    options = {"low": 0.1, "mission": "x", "construction": 1, "goal_cell": [1, 2], 3: 4}
    wrap(env).reset(seed=0, options=options)
    assert env.options == options


# -- denotations ---------------------------------------------------------------------------------


def by_table(goals, text):
    """A denotation that knows two texts."""
    return goals[:, 0] > {"go left": 9, "go right": 8}[text]


def denoted(text, denotation=by_table):
    env = text_cart(["go left"], goals=place_goals(), denotation=denotation)
    env.reset(seed=0, options={"instruction": text})
    return env


def test_a_denotation_that_raises_is_reported_with_the_text():
    says = r"denotation raises KeyError\('go up'\) for the instruction 'go up'; let it return None"
    refused(lambda: denoted("go up"), InstructionError, says)
    with pytest.raises(InstructionError) as caught:
        denoted("go up")
    assert isinstance(caught.value.__cause__, KeyError)
    denoted("go right").step(0)


def test_what_a_denotation_of_langrl_raises_is_left_as_it_is():
    def refuses(goals, text):
        raise GroundingError("no such place; name another")

    refused(lambda: denoted("go up", refuses), GroundingError, "no such place; name another")


def test_a_denotation_that_raises_later_is_reported_too():
    def raises(goals, text):
        if abs(goals[0, 0]) > 0.06:
            raise ValueError("too far")
        return goals[:, 0] > 9

    env = denoted("go right", raises)

    def walk():
        for _ in range(60):
            env.step(1)

    refused(walk, InstructionError, "ValueError.*too far.*'go right'")


def test_no_task_is_satisfied_nowhere_without_asking():
    env = GoalEnv(text_cart(["go left"], goals=place_goals(), denotation=by_table), place_goals())
    _, info = env.reset(seed=0)
    assert info["started_satisfied"] is False
    assert env.env._text == NO_TASK["instruction"]

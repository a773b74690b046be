"""Presets of other projects, field by field against what those projects write."""

import pytest

from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.presets import load_config

# github.com/MichalBortkiewicz/JaxGCRL: CRL in jaxgcrl/agents/crl/crl.py, RunConfig in
# jaxgcrl/utils/config.py, the networks in jaxgcrl/agents/crl/networks.py.
JAXGCRL = {
    "learner.actor_learning_rate": 3e-4,  # policy_lr
    "learner.critic_learning_rate": 3e-4,  # critic_lr
    "learner.entropy_learning_rate": 3e-4,  # alpha_lr
    "learner.batch_size": 256,  # batch_size
    "replay.discount": 0.99,  # discounting
    "replay.discounts": (),
    "replay.hard_negatives": 0.0,
    "replay.tail": "renormalise",  # probabilities among the futures that there are
    "learner.logsumexp_penalty": 0.1,  # logsumexp_penalty_coeff
    "learner.entropy": "learned",  # disable_entropy_actor False
    "learner.entropy_coefficient": 1.0,  # log_alpha 0 at first
    "learner.target_entropy": -0.5,  # times the action's size
    "replay.capacity": 10_000 * 256,  # max_replay_size, of each environment
    "collect.warmup": 1000 * 256,  # min_replay_size, of each environment
    "collect.unroll": 62,  # unroll_length
    "collect.envs": 256,  # num_envs
    "collect.random_actions": 0.0,
    "learner.updates": 256 * (1001 - 1) // 256,  # num_envs (episode_length - 1) / batch_size
    "max_episode_steps": 1001,  # episode_length
    "learner.env_steps": 50_000_000,  # total_env_steps
    "evaluation.every": 50_000_000 // 200,  # total_env_steps / num_evals
    "evaluation.episodes": 256,  # num_eval_envs
    "evaluation.episodes_during": 256,  # in each evaluation
    "evaluation.deterministic": True,
    "critic.width": 256,  # h_dim
    "critic.depth": 2,  # n_hidden
    "critic.residual": False,  # skip_connections 4, beyond the two layers
    "critic.activation": "silu",  # use_relu False: swish
    "critic.layer_norm": False,  # use_ln
    "critic.embedding": 64,  # repr_dim
    "critic.energy": "neg_l2",  # energy_fn norm
    "critic.temperature": "fixed",
    "critic.scale": 1.0,
    "critic.critics": 1,
    "critic.action_joins": "early",  # state and action side by side
    "critic.scaled": False,
    "critic.random_features": 0,
    "actor.random_features": 0,
    "critic.state_octaves": 0,
    "critic.goal_octaves": 0,
    "learner.loss": "forward_info_nce",  # contrastive_loss_fn fwd_infonce
    "learner.ignored_negatives": "none",
    "learner.action_weight": 0.0,
    "learner.schedule": "constant",
    "learner.actor_goals": "relabelled",  # the future state's
    "learner.actor_action": "sample",
    "learner.normalise_scores": False,
    "learner.behaviour_cloning": 0.0,
    "actor.kind": "actor",
    "actor.width": 256,
    "actor.depth": 2,
    "actor.residual": False,
    "actor.activation": "silu",
    "actor.layer_norm": False,  # the agent gives its actor no use_ln, which is False
    "actor.scaled": False,
    "actor.octaves": 0,
    "actor.bounds": "tanh",
    "actor.log_std_low": -5.0,  # LOG_STD_MIN
    "actor.log_std_high": 2.0,  # LOG_STD_MAX
}

# github.com/seohongpark/ogbench: get_config() in impls/agents/crl.py, networks in
# impls/utils/networks.py, impls/main.py and the commands of its PointMaze results.
OGBENCH = {
    "learner.critic_learning_rate": 3e-4,  # lr
    "learner.actor_learning_rate": 3e-4,
    "learner.batch_size": 1024,  # batch_size
    "actor.width": 512,  # actor_hidden_dims (512, 512, 512)
    "actor.depth": 3,
    "critic.width": 512,  # value_hidden_dims (512, 512, 512)
    "critic.depth": 3,
    "critic.embedding": 512,  # latent_dim
    "critic.layer_norm": True,  # layer_norm, of the critic
    "actor.layer_norm": False,
    "critic.activation": "gelu",
    "actor.activation": "gelu",
    "critic.residual": False,
    "actor.residual": False,
    "replay.discount": 0.99,  # discount
    "replay.discounts": (),
    "replay.hard_negatives": 0.0,
    "replay.tail": "clip",  # geometric offsets, at most to the last state
    "learner.behaviour_cloning": 0.03,  # alpha, 0.1 by default and 0.03 in PointMaze
    "learner.normalise_scores": True,  # by the mean of |q|
    "learner.actor_action": "mean",  # const_std: the mode
    "actor.log_std_low": 0.0,  # const_std
    "actor.log_std_high": 0.0,
    "actor.bounds": "clip",  # no tanh
    "learner.entropy": "fixed",
    "learner.entropy_coefficient": 0.0,
    "learner.actor_goals": "uniform",  # actor_p_trajgoal 1, actor_geom_sample False
    "critic.critics": 2,  # an ensemble of two, the least of which counts
    "critic.energy": "dot",  # phi(s, a)' psi(g) / sqrt(latent_dim)
    "critic.temperature": "fixed",
    "critic.scale": 512**-0.5,
    "critic.action_joins": "early",
    "critic.scaled": False,
    "actor.scaled": False,
    "critic.random_features": 0,
    "actor.random_features": 0,
    "critic.state_octaves": 0,
    "critic.goal_octaves": 0,
    "actor.octaves": 0,
    "actor.kind": "actor",
    "learner.loss": "sigmoid",  # sigmoid_binary_cross_entropy of all pairs alike
    "learner.sigmoid_bias": 0.0,
    "learner.logsumexp_penalty": 0.0,
    "learner.ignored_negatives": "none",
    "learner.action_weight": 0.0,
    "learner.schedule": "constant",
    "learner.steps": 1_000_000,  # train_steps
    "evaluation.every": 100_000,  # eval_interval
    "evaluation.tasks": 5,  # eval_tasks: all of them
    "evaluation.episodes": 5 * 50,  # tasks, and eval_episodes of its commands
    "evaluation.episodes_during": 5 * 50,  # in each evaluation
    "evaluation.deterministic": True,  # eval_temperature 0
    "env": "pointmaze-medium-v0",
}
PUBLISHED = {"jaxgcrl": JAXGCRL, "ogbench-crl": OGBENCH}
CASES = [(preset, field) for preset, table in PUBLISHED.items() for field in table]


@pytest.mark.parametrize(("preset", "field"), CASES)
def test_a_field_is_what_the_project_has(preset, field):
    value = load_config(preset, GoalRunConfig)
    for part in field.split("."):
        value = getattr(value, part)
    assert value == pytest.approx(PUBLISHED[preset][field])


@pytest.mark.parametrize("preset", PUBLISHED)
@pytest.mark.parametrize("part", ["critic", "actor", "learner", "replay", "evaluation"])
def test_no_field_that_counts_is_left_out(preset, part):
    config = getattr(load_config(preset, GoalRunConfig), part)
    of_others = {"compared", "temperature"} if part == "actor" else set()
    of_others |= {"feature_length"}  # of random features
    if part == "learner":  # of compared and of discrete actions, of other losses, of acting
        of_others = {"action_negatives", "other_actions", "discrete_target_entropy"}
        of_others |= {"steps", "sigmoid_bias"} if preset == "jaxgcrl" else set()
        if preset == "ogbench-crl":
            of_others |= {"env_steps", "updates", "entropy_learning_rate", "target_entropy"}
    if part == "replay":  # where the arrays are; recorded data fill as much as they need
        of_others = {"memory_map", "hard_within"} | (
            {"capacity"} if preset == "ogbench-crl" else set()
        )
    if part == "evaluation":  # of language; theirs draw other seeds
        of_others = {"methods", "seed"} | ({"tasks"} if preset == "jaxgcrl" else set())
    named = {field.removeprefix(f"{part}.") for field in PUBLISHED[preset]}
    assert set(type(config).model_fields) - of_others <= named

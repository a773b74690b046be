"""Runs: from a config to a trained learner, through a run folder; what every task family shares."""

import json
import os.path
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from torch import Tensor

from langrl.checkpoint import Checkpoint, find_checkpoint, read_checkpoint, step_folder
from langrl.errors import CheckpointError, ConfigError, GroundingError
from langrl.settings import CONFIG_FILE, describe_invalid, references, with_absolute_paths
from langrl.tasks.changes import STORED, check_steps, training_fields, warn_of_changes
from langrl.tasks.config import OFF, EvaluationConfig, RunConfig
from langrl.tasks.references import check_references, reference_digests
from langrl.tasks.registry import TASKS, Task, load_run_config
from langrl.training.jobs import flushed_subnormals
from langrl.training.logs import console, versions
from langrl.training.loop import Training, run_state
from langrl.training.run_folder import check_empty, read_newest, use_device, write_config
from langrl.training.run_lock import locked

START_REPAIR = (
    f"start: {{path}} does not fit this config: {{detail}}; give the {CONFIG_FILE} of that run as"
    " --config, and leave its world, the sizes of its model and what its words come from (seed,"
    " data) as they are"
)
Newest = tuple[Path, Checkpoint] | None  # a run's newest checkpoint, and where it is


def _without(values: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Return nested values without some fields, which are dotted."""
    for field_ in fields:
        *groups, last = field_.split(".")
        inner: Any = values
        for group in groups:
            inner = inner.get(group) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(last, None)
    return values


def _makes_no_agent(**_: Any) -> Any:
    raise GroundingError("this run pre-trains a model, of which no agent can be made")


@dataclass(eq=False)
class Run:
    """What a config gives: a learner, its data's digest, and how to store and restore both.

    Args:
        config: of the run.
        learner: what is trained.
        description: what the learner's model is, beside its weights.
        data_sha256: digest of the training data.
        agent: makes an agent on the learner's own model; takes changes to its grounding.
        tensors: what a checkpoint holds beside the learner's state.
        document: the checkpoint's file with the description.
        compared: fields of the description that a resumed run must share with its checkpoint; all
            of them if not given.
        results: further entries of the run's ``results.json``.
        references: digests of the models that the config refers to; see ``reference_digests``.
        unrecorded: of a run that was stopped before it logged its last step; see ``Training``.
        further: returns further documents of a checkpoint, of the present weights.
    """

    config: Any
    learner: Any
    description: Any
    data_sha256: str
    agent: Callable[..., Any] = _makes_no_agent
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    document: str = "agent"
    compared: tuple[str, ...] | None = None
    results: dict[str, Any] = field(default_factory=dict)
    references: dict[str, dict[str, str]] = field(default_factory=dict)
    unrecorded: dict[str, float] | None = None
    further: Callable[[], dict[str, Any]] = dict

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        documents = {
            self.document: self.description.model_dump(mode="json"),
            "state": run_state(self.learner, self.config.threads, self.data_sha256)
            | {"references": self.references, STORED: training_fields(self.config)},
        }
        return Checkpoint(documents | self.further(), self.learner.state() | self.tensors)

    def check(self, checkpoint: Checkpoint, path: Path) -> None:
        """Raise CheckpointError unless a checkpoint is of this run's world and model."""
        try:
            different = self._different(checkpoint)
        except ValidationError as error:
            detail = describe_invalid(error, type(self.description))
            raise CheckpointError(f"{path} does not fit {CONFIG_FILE}: {detail}") from error
        if different is not None:
            raise CheckpointError(
                f"{path} does not fit {CONFIG_FILE}: its {different} is another one; put the config"
                " back as it was"
            )

    def _different(self, checkpoint: Checkpoint) -> str | None:
        """Return a field of the description that the checkpoint does not share; None if none.

        Where a model is does not count: ``check_references`` compares what is in its folder.
        """
        stored = type(self.description).model_validate(checkpoint.documents[self.document])
        paths = [f for f, _, path in references(self.description) if os.path.isabs(path)]
        before, now = (_without(each.model_dump(), paths) for each in (stored, self.description))
        for name in self.compared or type(self.description).model_fields:
            if before.get(name) != now.get(name):
                return name
        return None

    def begin(self) -> None:
        """Start from the weights of the run that the config names, if it names one.

        Raises:
            CheckpointError: if there is no such run, or it is of another world or model.
        """
        if self.config.start is None:
            return
        path = find_checkpoint(Path(self.config.start))
        checkpoint = read_checkpoint(path)
        try:
            if (different := self._different(checkpoint)) is not None:
                raise CheckpointError(f"its {different} is another one")
            fresh = self.learner.state()  # optimiser and generators stay new
            self.learner.load_state(fresh | {"weights": checkpoint.tensors["weights"]})
        except (CheckpointError, ValidationError, KeyError) as error:
            detail = str(error) if isinstance(error, CheckpointError) else "it is of another task"
            raise CheckpointError(START_REPAIR.format(path=path, detail=detail)) from error

    def restore(self, checkpoint: Checkpoint, path: Path) -> None:
        """Put the learner into the state of a checkpoint that was read from ``path``.

        Raises:
            CheckpointError: if the checkpoint is of another world, model or data, or of a later
                step than the config trains to.
        """
        beside = path.parent.parent / CONFIG_FILE
        try:
            self.check(checkpoint, path)
            state: Mapping[str, Any] = checkpoint.documents["state"]
            if state["data_sha256"] != self.data_sha256:
                raise CheckpointError(
                    f"{path} was trained on other data than {beside} gives now; put the data and"
                    " the config back as they were"
                )
            check_references(state, path, self.config)
            if state["versions"] != versions():
                console.print("this run was begun with other versions; its last bits may differ")
            self._load(checkpoint, path)
            check_steps(self.learner.step, self.config, path)
            warn_of_changes(state, self.config)
            if (metrics := state.get("unrecorded")) is not None:
                self.unrecorded = {str(name): float(value) for name, value in metrics.items()}
        except CheckpointError:
            raise
        except KeyError as error:
            raise CheckpointError(f"{path} does not fit {beside}: it lacks {error}") from error
        except (ValueError, RuntimeError, TypeError, LookupError, AttributeError) as error:
            detail = " ".join(str(error).splitlines()[:1])
            raise CheckpointError(f"{path} does not fit {beside}: {detail}") from error

    def _load(self, checkpoint: Checkpoint, path: Path) -> None:
        """Put the learner into the state of a checkpoint; its errors name the checkpoint."""
        try:
            self.learner.load_state(checkpoint.tensors)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        if self.learner.step != checkpoint.documents["state"]["step"]:
            raise CheckpointError(
                f"{path}: state.json is of step {checkpoint.documents['state']['step']!r} and"
                f" optimizer.safetensors of step {self.learner.step}; use an earlier checkpoint"
            )

    def train(self, folder: Path, label: str) -> float:
        """Train up to the last step and return the seconds it took."""
        config, evaluation = self.config, _evaluation(self.config)
        every = 0 if evaluation is None or evaluation.methods == OFF else self.evaluation_steps
        training = Training(
            self.learner, config.last_step, folder, config.logging, self.snapshot, every,
            partial(self._evaluate, folder), self.unrecorded,
        )  # fmt: skip
        with flushed_subnormals():
            return training.run(label)

    @property
    def evaluation_steps(self) -> int:
        """Steps between evaluations in training; 0 for none."""
        return int(self.config.evaluation.every)

    def _evaluate(self, folder: Path) -> dict[str, float]:
        """Measure the agent of the present weights: a copy, so that training is left alone."""
        suite = TASKS[self.config.task].module("suite").of(self.config)
        measured: dict[str, float] = suite.watch(self._present_agent(folder))
        return measured

    def check_instruction(self, folder: Path, instruction: str) -> None:
        """Raise InstructionError if the run's agents do not read a text, such as a long one."""
        suite = TASKS[self.config.task].module("suite").of(self.config)
        suite.describe(self._present_agent(folder), instruction)

    def _present_agent(self, folder: Path) -> Any:
        """Return an agent of the present weights, on copies of them."""
        place = step_folder(folder, self.learner.step)
        load = TASKS[self.config.task].module("agent").load
        return load(self.snapshot(), place, device=self.config.device)()

    def resume(self, folder: Path, label: str, newest: Newest) -> float:
        """Go on from the newest checkpoint, or from the beginning, and return the seconds."""
        if newest is None:
            self.begin()
        else:
            path, checkpoint = newest
            self.restore(checkpoint, path)
        return self.train(folder, label)


def build_run(config: RunConfig, folder: Path) -> Any:
    """Build everything that a run trains. The same config gives the same bits.

    Args:
        config: of the run.
        folder: of the run, where parts of it may be stored already.

    Raises:
        LangRLError: naming the field or file and the repair.
    """
    use_device(config.device, config.threads)
    _check_methods(config)
    run = TASKS[config.task].module("run").build(config, folder)
    run.references = reference_digests(config)
    return run


def _evaluation(config: RunConfig) -> EvaluationConfig | None:
    """Return how agents of a run are evaluated; None for families that train no agents."""
    evaluation = getattr(config, "evaluation", None)
    return evaluation if isinstance(evaluation, EvaluationConfig) else None


def _check_methods(config: RunConfig) -> None:
    """Refuse methods of evaluation that there are not: before the training, not after."""
    evaluation = _evaluation(config)
    if evaluation is not None and evaluation.methods and evaluation.methods != OFF:
        TASKS[config.task].module("suite").of(config).agents(_makes_no_agent, evaluation.methods)


def train_run(
    config: RunConfig, folder: Path, label: str, instruction: str | None = None
) -> tuple[Any, float]:
    """Train a new run in ``folder`` and return it with the seconds of training.

    Args:
        config: of the run.
        folder: of the run.
        label: for the progress bar.
        instruction: what the trained agents will be told, to be checked before the training.

    Raises:
        ConfigError: if the folder holds something already, or another process trains there; what
            ``build_run`` raises, too.
        InstructionError: if agents of the run do not read the instruction.
    """
    config = config.resolved()
    check_empty(folder)
    with locked(folder):
        check_empty(folder)  # again: another process may have been there meanwhile
        run = build_run(config, folder)
        run.begin()
        if instruction is not None:
            run.check_instruction(folder, instruction)
        write_config(folder, config)
        return run, run.train(folder, label)


def resume_run(folder: Path, label: str, *, tasks: Sequence[Task] = ()) -> tuple[Any, float]:
    """Go on with a run from its newest checkpoint, to the bits of an uninterrupted one.

    A run that was cut off before its first checkpoint starts again.

    Args:
        folder: of the run.
        label: for the progress bar.
        tasks: the families that the run may be of; any if not given.

    Raises:
        CheckpointError: if the newest checkpoint is damaged, or not of the config beside it.
        ConfigError: if ``config.yaml`` is missing or wrong, or another process trains in the
            folder.
    """
    file = folder / CONFIG_FILE
    if not file.is_file():
        raise ConfigError(
            f"no {CONFIG_FILE} in {folder}; give a run folder that langrl has written"
        )
    config = load_run_config(str(file), *tasks)
    with locked(folder):
        newest = read_newest(folder)
        run = build_run(config, folder)
        return run, run.resume(folder, label, newest)


def finished_step(folder: Path, *, tasks: Sequence[Task] = ()) -> int | None:
    """Return the last step of a run that is trained and evaluated as its config says, else None.

    Arguments and errors are as those of ``resume_run``.
    """
    file = folder / CONFIG_FILE
    config = load_run_config(str(file), *tasks)
    newest = read_newest(folder)
    try:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        evaluated = type(config).model_validate(results["config"])
        step = 0 if newest is None else int(newest[1].documents["state"]["step"])
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None  # it was cut off, and goes on
    same = with_absolute_paths(evaluated, folder, Path.cwd()) == config
    return step if same and step >= config.last_step else None


def train_or_resume(
    config: RunConfig, folder: Path, label: str, instruction: str | None = None
) -> tuple[Any, float]:
    """Train the run of a config in ``folder``, or go on with it where it was cut off.

    Arguments and errors are as those of ``train_run``.
    """
    if is_begun(folder, config):
        return resume_run(folder, label)
    return train_run(config, folder, label, instruction)


def is_begun(folder: Path, config: RunConfig) -> bool:
    """Whether the folder holds a run of this config, finished or not, however it was evaluated."""
    file = folder / CONFIG_FILE
    if not file.is_file():
        return False
    stored = load_run_config(str(file))
    ours = config.resolved()
    if type(stored) is not type(ours) or "evaluation" not in type(ours).model_fields:
        return stored == ours
    return stored.model_copy(update={"evaluation": cast(Any, ours).evaluation}) == ours


def is_trained(folder: Path, config: RunConfig) -> bool:
    """Whether the folder holds a finished run of this config, however it was evaluated."""
    if not is_begun(folder, config):
        return False
    try:
        newest = read_newest(folder)
        step = 0 if newest is None else int(newest[1].documents["state"]["step"])
    except (CheckpointError, KeyError, TypeError, ValueError, OverflowError):
        return False
    return step >= config.last_step

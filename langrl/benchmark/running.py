"""Running the benchmark: trainings, then evaluations, as cells of an engine; then the report.

A folder holds one suite, by its hash, and one profile. What is in it already is used again, so that
a run that was cut off goes on, and entrants, worlds and seeds can be added later.
"""

import itertools
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langrl.benchmark.entrants import (
    ENTRANTS,
    Entrant,
    entrant_of_agent,
    entrant_of_import,
    entrant_of_run,
)
from langrl.benchmark.evaluating import calibrate, evaluate, evaluate_entrant
from langrl.benchmark.families import World, run_name, train
from langrl.benchmark.profiles import PROFILES, Profile
from langrl.benchmark.suites import SUITES, Suite
from langrl.checkpoint import content_digest, find_checkpoint, write_atomically
from langrl.errors import ConfigError, ResultsError, check_extra, lookup
from langrl.tasks.registry import TASKS
from langrl.training.cells import Cell, run_cells
from langrl.training.engines.base import Engine
from langrl.training.engines.local import LocalEngine
from langrl.training.logs import console

SUITE = "langrl/AmbiguousInstructions-v1"
ABOUT = "benchmark.json"  # in a folder of the benchmark: what it is a run of
_SCHEMA = "langrl-benchmark-1"

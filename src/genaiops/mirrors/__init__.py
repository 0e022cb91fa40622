"""Copies of results in a tracking server of the team; ours stay the source."""

from genaiops.mirrors._mapping import MirroredRun, MirrorPlan, plan_mirror
from genaiops.mirrors._mlflow import Mirrored, check_mirror, mirror_experiment

__all__ = ["MirrorPlan", "Mirrored", "MirroredRun", "check_mirror", "mirror_experiment", "plan_mirror"]

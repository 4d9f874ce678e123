"""Reward profiles: statistics of every numeric field, by task and by agent."""

from .files import SampleRows, profile_files, reward_profile, write_profile
from .histogram import Histogram
from .profiler import PYTHON_FIELDS, RewardProfiler, task_dicts
from .statistics import Profile, profile_json

__all__ = [
    "PYTHON_FIELDS",
    "Histogram",
    "Profile",
    "RewardProfiler",
    "SampleRows",
    "profile_files",
    "profile_json",
    "reward_profile",
    "task_dicts",
    "write_profile",
]

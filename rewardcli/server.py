"""The HTTP endpoint; `nemo_gym.server` has it."""

from .nemo_gym.server import create_app, mount_aggregate_metrics

__all__ = ["create_app", "mount_aggregate_metrics"]

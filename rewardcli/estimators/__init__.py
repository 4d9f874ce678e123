"""Estimators that depend on more than the first k rollouts of a task: arrays in, arrays out."""

"""Analyses: rollouts in, results out."""

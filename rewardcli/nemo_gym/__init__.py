"""The drop-in for `nemo_gym.reward_profile`: its names, dicts, files, hooks and endpoint."""

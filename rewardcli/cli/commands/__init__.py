"""The commands, one file each, loaded when they are asked for."""

# By name: the module, which holds the command under its own name.
COMMANDS = {
    "profile": "profile",
    "passk": "passk",
    "subsets": "subsets",
    "highest-k": "highest_k",
    "aggregate": "aggregate",
    "extract": "extract",
    "serve": "serve",
}

__all__ = ["COMMANDS"]

"""The field names of the generated rows, for the generator and for contenders that must know them in advance."""

from __future__ import annotations

# Name, share of the rows that have it, type. With the two indices and the reward, these are 19 numeric names.
NUMBERS: tuple[tuple[str, float, str], ...] = (
    ("num_turns", 1.0, "int"),
    ("truncated", 1.0, "bool"),
    ("latency_s", 1.0, "float"),
    ("format_ok", 0.9, "bool"),
    ("tool_calls", 0.5, "int"),
    ("judge_score", 0.3, "float"),
    ("tool_errors", 0.1, "int"),
    ("retries", 0.05, "int"),
    ("ngram_repetition", 0.02, "float"),
    ("queue_s", 0.01, "float"),
    ("timed_out", 0.006, "bool"),
    ("exit_code", 0.005, "int"),
    ("length_penalty", 0.004, "float"),
    ("context_overflow", 0.003, "bool"),
    ("sandbox_restarts", 0.002, "int"),
    ("language_mismatch", 0.002, "bool"),
)
NUMERIC_FIELDS = ("_ng_task_index", "_ng_rollout_index", "reward", *(name for name, _, _ in NUMBERS))
USAGE_FIELDS = ("input_tokens", "output_tokens", "total_tokens")
ANSWER_FIELD = "extracted_answer"

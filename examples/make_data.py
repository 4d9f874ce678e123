"""Make the example data: rollouts of two agents on made-up math tasks, and their inputs.

The same seed gives the same bytes, so the two files are kept in the repository and a test regenerates them.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

SEED = 20250
TASKS = 40
ROLLOUTS = 8
# Runs lose rollouts to time-outs; these tasks have fewer than the others.
SHORT_TASKS = {6: 5, 17: 7, 33: 3}
MAX_OUTPUT_TOKENS = 2048
ANSWERED = 0.95  # share of the rollouts within that limit that give an answer
USUAL_MISTAKES = 0.55  # share of the wrong answers that agree, so that a majority can be wrong

# The lowest and highest share of a task's rollouts that succeed, and the typical length of an answer, in tokens.
DIFFICULTIES = {"easy": (0.75, 1.0, 220), "medium": (0.3, 0.8, 520), "hard": (0.0, 0.4, 980)}

Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One problem, its answer, and the mistake most wrong rollouts make on it."""

    index: int
    agent: str
    prompt: str
    answer: int
    usual_mistake: int
    difficulty: str
    chance: float
    typical_tokens: int

    def keys(self, rollout: int) -> Row:
        """Return the fields that match a rollout with its input."""
        return {"_ng_task_index": self.index, "_ng_rollout_index": rollout, "agent_ref": {"name": self.agent}}


def make_task(index: int, rng: Random) -> Task:
    """Draw one task: an equation in the first half, a rectangle in the second."""
    a, b = rng.randint(3, 12), rng.randint(13, 40)
    if index < TASKS // 2:
        x = rng.randint(2, 20)
        agent, prompt = "algebra_agent", f"Solve for x: {a}x + {b} = {a * x + b}."
        answer, usual_mistake = x, x + b  # the constant was never subtracted
    else:
        agent, prompt = "geometry_agent", f"A rectangle is {a} cm by {b} cm. What is its area in square cm?"
        answer, usual_mistake = a * b, 2 * (a + b)  # the perimeter
    difficulty = rng.choice(list(DIFFICULTIES))
    low, high, typical_tokens = DIFFICULTIES[difficulty]
    chance = low + (high - low) * rng.random()
    return Task(index, agent, prompt, answer, usual_mistake, difficulty, chance, typical_tokens)


def make_input(task: Task, rollout: int) -> Row:
    """Make the input of a rollout."""
    return {
        **task.keys(rollout),
        "responses_create_params": {"input": [{"role": "user", "content": task.prompt}]},
        "expected_answer": str(task.answer),
        "difficulty": task.difficulty,
    }


def make_rollout(task: Task, rollout: int, rng: Random) -> Row:
    """Make one attempt: solved by chance, or else mostly the usual mistake; a truncated one has no answer."""
    output_tokens = min(int(task.typical_tokens * (0.5 + 1.7 * rng.random())), MAX_OUTPUT_TOKENS)
    truncated = output_tokens == MAX_OUTPUT_TOKENS
    solved, repeats_mistake = rng.random() < task.chance, rng.random() < USUAL_MISTAKES
    slip = rng.choice([-10, -2, -1, 1, 2, 10])
    answered = not truncated and rng.random() < ANSWERED
    guess = task.answer if solved else task.usual_mistake if repeats_mistake else task.answer + slip
    answer = str(guess) if answered else None
    input_tokens = 24 + len(task.prompt) // 4
    return {
        **task.keys(rollout),
        "response": {
            "output": f"The answer is {answer}." if answered else "Let me check that once more",
            "usage": {
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "total_tokens": input_tokens + output_tokens,
            },
        },
        "reward": float(answered and solved),
        "extracted_answer": answer,
        "expected_answer": str(task.answer),
        "difficulty": task.difficulty,
        "format_score": round((0.6 if answered else 0.0) + 0.4 * rng.random(), 2),
        "truncated": truncated,
    }


def make_rows() -> Iterator[tuple[Row, Row]]:
    """Yield every input and its rollout, by task and rollout index."""
    rng = Random(SEED)
    for index in range(TASKS):
        task = make_task(index, rng)
        for rollout in range(SHORT_TASKS.get(index, ROLLOUTS)):
            yield make_input(task, rollout), make_rollout(task, rollout, rng)


def write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    """Write one compact JSON object per line, with the same bytes on every system."""
    lines = (json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    path.write_bytes("".join(lines).encode())


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).parent)
    directory: Path = parser.parse_args().output_dir
    inputs, rollouts = zip(*make_rows(), strict=True)
    write_jsonl(directory / "math_rollouts.jsonl", rollouts)
    write_jsonl(directory / "math_rollouts_materialized_inputs.jsonl", inputs)


if __name__ == "__main__":
    main()

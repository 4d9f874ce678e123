"""Write seeded rollouts files in three shapes: slim (S), text (M) and token-level (L).

A file depends only on shape, rows and seed. Rows look like those of a NeMo Gym collection run: compact JSON with 19
numeric top-level fields (the two indices, the reward, and others that are ints, floats or bools, some of them in only a
few rows per thousand), three usage numbers, and an extracted answer that is sometimes null. Rows are in the order in
which concurrent collection finishes them: rollouts start task by task and take different times.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fields import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator


@dataclass(frozen=True)
class Shape:
    """How many rows a file has by default, how many rollouts each task has, and about how long a row is."""

    rows: int
    rollouts: int
    row_bytes: int


SHAPES = {
    "S": Shape(rows=1_000_000, rollouts=32, row_bytes=445),
    "M": Shape(rows=250_000, rollouts=32, row_bytes=8_000),
    "L": Shape(rows=12_000, rollouts=16, row_bytes=147_000),
}
SEED = 20260
CONCURRENCY = 512
BATCH = 2_000

AGENT = b'"agent_ref":{"type":"responses_api_agents","name":"math_agent"}'
DIFFICULTIES = (b"easy", b"medium", b"hard")
WORDS = """
    the of so we have that is let us a for then this which answer if prime sum value integer equation let's check
    therefore triangle function modulo hence both sides however because step consider number wait 2 3 17 x y n = +
""".split()
RARE_WORDS = ["\\frac{a}{b}", "\\cdot", "\\(n\\)", '"even"', "f(x)", "—", "≤", "π", "√2", "**Step**", "\n", "\n\n"]
VOCABULARY = WORDS * 4 + RARE_WORDS


def json_text(text: str) -> bytes:
    """Return the inside of a JSON string, in UTF-8, as orjson writes it."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def text_pool(rng: Generator, count: int, words: int) -> list[bytes]:
    """Make passages of about `words` words, with the escapes and symbols of real model output."""
    return [json_text(" ".join(rng.choice(VOCABULARY, words)) + " ") for _ in range(count)]


def token_pool(rng: Generator, count: int, tokens: int) -> list[tuple[bytes, bytes]]:
    """Make lists of `tokens` token ids and their log probabilities, without the brackets around them."""
    pool = []
    for _ in range(count):
        ids = np.minimum(rng.lognormal(8.0, 2.0, tokens), 151_000).astype(int).tolist()
        probabilities = np.float32(-rng.gamma(0.2, 1.0, tokens) - 1e-7).astype(float).tolist()
        pool.append((",".join(map(str, ids)).encode(), ",".join(map(repr, probabilities)).encode()))
    return pool


def slim_body(rng: Generator) -> Callable[[int, bytes], bytes]:
    """Make bodies with a prompt of a few words and a response that is only usage."""
    prompts = text_pool(rng, 500, 7)

    def body(task: int, usage: bytes) -> bytes:
        prompt = prompts[task % len(prompts)]
        return b'"responses_create_params":{"input":[{"role":"user","content":"%b"}]},"response":{"usage":%b}' % (
            prompt,
            usage,
        )

    return body


def message_body(rng: Generator) -> Callable[[int, bytes], bytes]:
    """Make bodies with a prompt of about 1 KB, and reasoning and an answer of about 6.5 KB together."""
    prompts = text_pool(rng, 500, 200)
    texts = text_pool(rng, 2_000, 208)
    picks = iter_integers(rng, len(texts))

    def body(task: int, usage: bytes) -> bytes:
        reasoning = b"".join(texts[next(picks)] for _ in range(5))
        return (
            b'"responses_create_params":{"input":[{"role":"user","content":"%b"}],"temperature":1.0,"tools":[]},'
            b'"response":{"id":"resp_%08x","object":"response","model":"policy","output":['
            b'{"type":"reasoning","summary":[{"type":"summary_text","text":"%b"}]},'
            b'{"type":"message","role":"assistant","status":"completed",'
            b'"content":[{"type":"output_text","annotations":[],"text":"%b"}]}],"usage":%b}'
            % (prompts[task % len(prompts)], next(picks), reasoning, texts[next(picks)], usage)
        )

    return body


def token_body(rng: Generator) -> Callable[[int, bytes], bytes]:
    """Make bodies with a message of about 16 KB, token ids of its prompt and its own, and their log probabilities."""
    prompts = text_pool(rng, 200, 400)
    prompt_ids = [ids for ids, _ in token_pool(rng, 200, 1_500)]
    texts = text_pool(rng, 1_000, 250)
    tokens = token_pool(rng, 1_000, 250)
    picks = iter_integers(rng, 1_000)

    def body(task: int, usage: bytes) -> bytes:
        runs = [tokens[next(picks)] for _ in range(18)]
        return (
            b'"responses_create_params":{"input":[{"role":"user","content":"%b"}],"temperature":1.0,"tools":[]},'
            b'"response":{"id":"resp_%08x","object":"response","model":"policy","output":['
            b'{"type":"message","role":"assistant","status":"completed",'
            b'"content":[{"type":"output_text","annotations":[],"text":"%b"}],'
            b'"prompt_token_ids":[%b],"generation_token_ids":[%b],"generation_log_probs":[%b]}],"usage":%b}'
            % (
                prompts[task % 200],
                next(picks),
                b"".join(texts[next(picks)] for _ in range(12)),
                prompt_ids[task % 200],
                b",".join(ids for ids, _ in runs),
                b",".join(probabilities for _, probabilities in runs),
                usage,
            )
        )

    return body


BODIES = {"S": slim_body, "M": message_body, "L": token_body}


def iter_integers(rng: Generator, below: int) -> Iterator[int]:
    """Yield uniform integers without end, drawn many at a time."""
    while True:
        yield from rng.integers(below, size=10_000).tolist()


def number_column(rng: Generator, kind: str, count: int) -> list[bytes]:
    """Make `count` JSON numbers or booleans of one type."""
    if kind == "bool":
        return [b"true" if value else b"false" for value in (rng.random(count) < 0.3).tolist()]
    if kind == "int":
        return [b"%d" % value for value in rng.poisson(3.0, count).tolist()]
    return [b"%.4f" % value for value in rng.gamma(2.0, 5.0, count).tolist()]


def answer(correct: bool, draw: float, task: int) -> bytes:
    """Return the task's answer if the rollout is correct, else one of a few wrong ones, or null."""
    if correct:
        return b'"%d"' % (task * 7919 % 1000)
    return b"null" if draw < 0.1 else b'"%d"' % (task * 7919 % 1000 + 1 + int(draw * 8))


def iter_rows(shape: str, rows: int, seed: int = SEED) -> Iterator[bytes]:
    """Yield the lines of the file, newline included."""
    rng = np.random.default_rng([seed, ord(shape)])
    rollouts = SHAPES[shape].rollouts
    body = BODIES[shape](rng)
    solve_rates = rng.beta(0.6, 0.8, rows // rollouts + 1)
    finished = np.argsort(np.arange(rows) + rng.gamma(2.0, CONCURRENCY / 2, rows), kind="stable")
    for start in range(0, rows, BATCH):
        index = finished[start : start + BATCH]
        count = len(index)
        tasks = index // rollouts
        correct = rng.random(count) < solve_rates[tasks]
        draws = rng.random(count).tolist()
        inputs = (100 + tasks % 900).tolist()
        outputs = rng.integers(100, 9_000, count).tolist()
        columns = []
        for name, share, kind in NUMBERS:
            values = number_column(rng, kind, count)
            here = (rng.random(count) < share).tolist()
            columns.append([b',"%b":%b' % (name.encode(), v) if h else b"" for v, h in zip(values, here, strict=True)])
        numbers = [b"".join(parts) for parts in zip(*columns, strict=True)]
        for i, (task, rollout, solved) in enumerate(
            zip(tasks.tolist(), (index % rollouts).tolist(), correct.tolist(), strict=True)
        ):
            usage = (inputs[i], outputs[i], inputs[i] + outputs[i])
            yield (
                b'{"_ng_task_index":%d,"_ng_rollout_index":%d,%b,%b,'
                b'"reward":%b,"extracted_answer":%b,"difficulty":"%b"%b}\n'
                % (
                    task,
                    rollout,
                    AGENT,
                    body(task, b'{"input_tokens":%d,"output_tokens":%d,"total_tokens":%d}' % usage),
                    b"1.0" if solved else b"0.0",
                    answer(solved, draws[i], task),
                    DIFFICULTIES[task % 3],
                    numbers[i],
                )
            )


def write_data(path: Path, shape: str, rows: int, seed: int = SEED) -> Path:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb", buffering=1 << 20) as file:
        file.writelines(iter_rows(shape, rows, seed))
    return partial.replace(path)


def main() -> None:
    """Read the options and write one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--rows", type=int, help="default: 1,000,000 for S, 250,000 for M, 12,000 for L")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    rows = options.rows if options.rows is not None else SHAPES[options.shape].rows
    path = write_data(options.output, options.shape, rows, options.seed)
    size = path.stat().st_size
    print(f"{path}: {rows:,} rows, {size / 1e6:,.1f} MB, {size / max(rows, 1):,.0f} bytes per row")


if __name__ == "__main__":
    main()

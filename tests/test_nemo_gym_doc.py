"""The Python examples of docs/nemo-gym.md; test_docs.py runs its commands."""

import doctest
import re
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs/nemo-gym.md"


def test_python_examples() -> None:
    # The examples share their names, as one text; without its fences it is one to doctest, at the same lines.
    text = re.sub(r"^```.*$", "", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {}, DOCUMENT.name, str(DOCUMENT), 0)
    output: list[str] = []
    results = doctest.DocTestRunner().run(test, out=output.append)
    assert results.attempted > 40
    assert results.failed == 0, "".join(output)

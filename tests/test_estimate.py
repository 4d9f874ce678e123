import json
import subprocess
import sys

import pytest

import rewardcli.estimate


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import json, sys, rewardcli.estimate; print(json.dumps(list(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout))
    assert "rewardcli.estimate" in loaded
    assert not {"numpy", "scipy"} & loaded


def test_every_public_name_is_there() -> None:
    assert sorted(rewardcli.estimate.__all__) == dir(rewardcli.estimate)
    assert all(hasattr(rewardcli.estimate, name) for name in rewardcli.estimate.__all__)
    with pytest.raises(AttributeError, match=r"module 'rewardcli.estimate' has no attribute 'nothing'"):
        rewardcli.estimate.nothing  # noqa: B018 (reading it is the test)

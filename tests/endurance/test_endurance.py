"""The endurance runs, each for `--endurance SECONDS`; without the option they are left out.

`python tests/endurance/fuzz.py`, `kills.py` and `load.py` run one of them with a seed and a length of choice.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("script", ["fuzz.py", "kills.py", "load.py"])
def test_it_endures(script: str, pytestconfig: pytest.Config) -> None:
    seconds = pytestconfig.option.endurance
    if not seconds:
        pytest.skip("endurance runs take minutes to hours: pytest --endurance SECONDS tests/endurance")
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    command = [sys.executable, str(HERE / script), "--seed", str(seed), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-3000:]}"
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(facts)
    assert sum(facts["ends"].values()) > 0

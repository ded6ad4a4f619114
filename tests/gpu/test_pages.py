"""The full profile of every page on another device, a thousandth of the work: what a GPU would refuse fails here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu import elsewhere

ROOT = Path(__file__).parents[2]
PAGES = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "book").glob("[0-9][0-9]-*/*.py"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not elsewhere.AVAILABLE, reason="this torch has no backends written in Python"),
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_on_another_device(page, tmp_path):
    settings = {
        "LITREPRO_PROFILE": "full",
        "LITREPRO_SMOKE": "1",
        "LITREPRO_DEVICE": elsewhere.NAME,
        "LITREPRO_NOTEBOOK": Path(page).stem,
        "LITREPRO_SCRATCH": str(tmp_path),
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.gpu.elsewhere", page]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]

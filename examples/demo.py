"""`make demo`: the main job on one use case, offline.

Every variant over every dataset, evaluated, compared, judged, reported: with the recorded replies of a small real
model (SmolLM2-135M-Instruct, Q4_1), so that it needs no key and no network.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
USE_CASE = HERE / "web_classification"
REPORTS = HERE.parent / "reports" / "demo"

NEXT = """
Open the report in a browser:
  {report}

Then:
  genaiops run examples/web_classification    the same again: nothing has changed, so no model is called
  genaiops runs show latest                   the figures, any time
  docs/tutorial/first-experiment.md           change a prompt and see what it does to each row"""


def main() -> int:
    command = [sys.executable, "-m", "genaiops", "run", str(USE_CASE), "--report-dir", str(REPORTS)]
    print("$ genaiops run examples/web_classification --report-dir reports/demo\n", flush=True)
    code = subprocess.run(command, check=False).returncode
    if code == 0:
        print(NEXT.format(report=(REPORTS / "report.html").as_uri()))
    return code


if __name__ == "__main__":
    sys.exit(main())

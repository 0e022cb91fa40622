"""What drawing a report takes: every row with its outputs and nodes, compared with the default variant.

python benchmarks/report.py [--rows 10000] [--variants 1]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _measure import PYTHON, measure, table, verdict, workshop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.reports.sample import Sample, write_sample

DRAW = (
    "import sys; from pathlib import Path; from genaiops.reports import write_reports; "
    "write_reports(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])"
)
ALL = ("csv", "html", "page", "static", "markdown", "junit", "json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--variants", type=int, default=1)
    asked = parser.parse_args()
    lines, bars = [], []
    with workshop() as folder:
        for rows, seconds, megabytes in ((1_000, None, 1.5), (asked.rows, 3.0, 8.0)):
            names = [f"variant_{number}" for number in range(asked.variants)]
            sample = Sample(rows=rows, variants=names, datasets=("one",), text_words=30)
            experiment = write_sample(folder / f"state-{rows}", sample)
            for form, formats in (("report.html", ("page",)), ("every form", ALL)):
                reports = folder / f"{rows}-{form}"
                used = measure([PYTHON, "-c", DRAW, str(experiment), str(reports), *formats])
                size = (reports / "report.html").stat().st_size / 1e6
                lines.append((rows, form, used.cpu_s, used.rss_mb, size))
                if form == "report.html":
                    bars.append((f"report.html of {rows:,} rows, size", size, megabytes, "MB"))
                    if seconds:
                        bars.append((f"report.html of {rows:,} rows, processor time", used.cpu_s, seconds, "s"))
    table(
        f"drawing reports of {asked.variants} variant(s)",
        ["rows", "drawn", "CPU s", "memory MB", "report.html MB"],
        lines,
    )
    for bar in bars:
        verdict(*bar)


if __name__ == "__main__":
    main()

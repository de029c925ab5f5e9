"""Another process that prepares a dataset: its task as JSON on standard input, its report on standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Entry point; an exception is the process's last line on standard error."""
    task = json.load(sys.stdin)
    sys.path[:] = task["path"]

    from msbench.config import build_part
    from msbench.conformance.data import report
    from msbench.plugins import load_plugins

    component = load_plugins(task["sources"]).get("dataset", task["name"])
    print(json.dumps(report(build_part(component, task["params"]), Path(task["cache"]))))


if __name__ == "__main__":
    main()

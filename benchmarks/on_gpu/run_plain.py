"""A process that measures the device's peak, then plain `LLM` over the same documents. Prints its figures."""

from __future__ import annotations

import json
import sys
from typing import Any

from side_by_side.plain import measure

from on_gpu.arithmetic import measured_peak


def main(job: dict[str, Any]) -> None:
    """Run one job."""
    peak = measured_peak(job["device"], job["peak_side"])
    measured = measure(job)
    import prometheus_client

    print(json.dumps(measured | {"peak": peak, "metrics": prometheus_client.generate_latest().decode()}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

"""Measurements, each in a process of its own, so that no row of a table pays for another: peak memory and least time.

Memory is resident memory by Linux's own account (`VmHWM`, set back before the work begins), so what the libraries take in
secret is in it. Time is processor time, the least of several: other programs share the machine and would be in the wall clock.
"""

import json
import multiprocessing
import os
import platform
import time
from pathlib import Path

STATUS = Path("/proc/self/status")


def _resident(name):
    """`VmRSS` (now) or `VmHWM` (greatest so far) of this process, in bytes."""
    return next(1024 * int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name))


class Peak:
    """The most resident memory so far, in bytes, above what there was when this was made."""

    def __init__(self):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): the high-water mark starts anew
        self.before = _resident("VmRSS")

    def bytes(self):
        return max(0, _resident("VmHWM") - self.before)


def least_seconds(work, times):
    """Processor time of `work`, the least of `times` runs; with one thread, what a core of its own would take."""
    took = []
    for _ in range(times):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)


def apart(function, *args):
    """`function(*args)` in a fresh interpreter; waits, and gives what it returned."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def machine():
    """The processor's name, how many cores and how busy they were: without it a figure of time says little."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}"


def table(rows, columns):
    """Markdown of a list of dicts; `columns` maps keys to headings."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join("–" if row.get(key) is None else str(row[key]) for key in columns) + " |")
    return "\n".join(lines)


def write(path, about, rows, columns):
    """JSON at `path`.json and markdown at `path`.md of the same rows; prints both."""
    found, page = json.dumps({**about, "rows": rows}, indent=1), table(rows, columns)
    path.with_suffix(".json").write_text(found + "\n")
    path.with_suffix(".md").write_text("\n".join(f"{key}: {value}  " for key, value in about.items()) + f"\n\n{page}\n")
    print(f"{found}\n\n{page}")

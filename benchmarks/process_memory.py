"""Memory of processes and their children as Linux accounts for it."""

from __future__ import annotations

from pathlib import Path


def process_tree(pid: int) -> list[int]:
    """A process and all below it, those that are there at the moment."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        try:
            tasks = Path(f"/proc/{current}/task").iterdir()
            children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        found.append(current)
        waiting += children
    return found


def pss_mib(pid: int, kinds: tuple[str, ...] = ("Pss",)) -> float:
    """Proportional set size of a process and all below it, in MiB: what several share counts once in the sum.

    Args:
        pid: of the process.
        kinds: lines of `smaps_rollup`. "Pss_Anon" and "Pss_Shmem" leave out the files that are mapped, above all
            libraries: their share depends on which other processes on the machine have them open.
    """
    total, wanted = 0, tuple(f"{kind}:" for kind in kinds)
    for one in process_tree(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has just ended
        total += sum(int(line.split()[1]) for line in lines if line.startswith(wanted))
    return total / 1024


def peak_mib(pid: int) -> float:
    """The largest resident set that a process ever had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024

"""Start one command from a process of a few megabytes, and report its cost.

    python -I -S shim.py FD COMMAND ...    ->    "seconds peak_kilobytes wait_status" on file descriptor FD

A process starts with the peak memory of the process that started it (Linux keeps the figure across exec), so the size
of the benchmark itself would show up in every result. This process is smaller than any interpreter that it starts.
The peak is the largest of the command itself and of every descendant that was waited for.
"""

import os
import sys
import time

report = int(sys.argv[1])
os.set_inheritable(report, False)
command = sys.argv[2:]
start = time.perf_counter()
pid = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - start
os.write(report, f"{seconds} {usage.ru_maxrss} {status}".encode())

"""`python -m media.processing.child PARENT MEMORY CPU_SECONDS`: the child of `processor`, of no use on its own.

PARENT is the process id that it dies with, MEMORY bytes of address space, CPU_SECONDS those of one picture.
"""

import sys

from media.processing.child.job_loop import run_jobs, take_over_stdout
from media.processing.child.sandbox import die_with_parent, limit_resources

if __name__ == "__main__":
    parent, memory, cpu_seconds = map(int, sys.argv[1:])
    die_with_parent(parent)
    limit_resources(memory)
    run_jobs(sys.stdin.buffer, take_over_stdout(), cpu_seconds)

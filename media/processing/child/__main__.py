"""`python -m media.processing.child PARENT MEMORY CPU_SECONDS`: the child of `media.processing.parent`.

PARENT is the id of the parent process, with which the child dies. MEMORY is the limit of address space in bytes,
CPU_SECONDS the limit for one picture.
"""

import sys
from signal import SIGKILL

from instafeed.core.process import die_with_parent
from media.processing.child.job_loop import run_jobs, take_over_stdout
from media.processing.child.sandbox import isolate, limit_resources

if __name__ == "__main__":
    parent, memory, cpu_seconds = map(int, sys.argv[1:])
    die_with_parent(parent, SIGKILL)
    answers = take_over_stdout()
    limit_resources(memory)
    run_jobs(sys.stdin.buffer, answers, cpu_seconds, missing_protection=isolate())

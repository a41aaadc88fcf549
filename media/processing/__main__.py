"""`python -m media.processing PARENT MEMORY CPU_SECONDS`: the child of `processor`, of no use on its own.

PARENT is the process id that it dies with, MEMORY bytes of address space, CPU_SECONDS those of one picture.
"""

import sys

from media.processing.confinement import confine, die_with
from media.processing.serving import own_output, serve

if __name__ == "__main__":
    parent, memory, cpu_seconds = map(int, sys.argv[1:])
    die_with(parent)
    confine(memory)
    serve(sys.stdin.buffer, own_output(), cpu_seconds)

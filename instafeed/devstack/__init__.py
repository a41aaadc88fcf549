"""The embedded stack: the production architecture as child processes of one command, in one directory.

From the bottom up:

* `state`: the files in the directory, and whether a stack runs there
* `child_process`: one child process
* `postgres` and `redis`: the servers; `data_services`: all four of them as one context manager
* `programs`: web, worker, beat and management commands
* `supervisor`: restarts children that die, and stops them in order
* `management/commands/stack.py`: the command `manage.py stack`, which uses all of these
"""

"""The embedded stack: the production architecture as child processes of one command, in one directory.

Bottom up: `state` (what lies in the directory, and is a stack alive there?), `process` (one child),
`postgres` and `redis` (the servers), `services` (all four as one context manager), `supervisor`
(children that die are started again, ordered end), `programs` (web, worker, beat and one-off steps).
`manage.py stack` puts them together. Nothing here imports a Django app.
"""

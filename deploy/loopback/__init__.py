"""docker-compose.yml without Docker: the deployment's commands, settings and configuration files on one machine.

    python -m deploy.loopback --data-dir DIR [--port N]

It runs nginx, two apps, the process for streams, a worker for each queue, beat, PostgreSQL with its replica and both
Redis servers. Instead of the images it uses this machine's nginx, PostgreSQL and Redis from wheels, and moto's server
in place of MinIO.

Bottom up: `compose` (what the file says), `places` (where a service's host names, ports and paths are on one machine),
`programs` (a service as a child process), `nginx`, `object_store`, `deployment` (all of it as one context manager).
"""

"""docker-compose.yml without Docker: the deployment's own commands, settings and configuration files on loopback.

    python -m deploy.loopback --data-dir DIR [--port N]

nginx before two apps, a worker for each queue, beat, PostgreSQL with its replica, both Redis servers. Only the images
are missing: programs are this machine's nginx, the wheels' PostgreSQL and Redis, and moto's server in MinIO's place.

Bottom up: `compose` (what the file says), `places` (where a service's host names, ports and paths are on one machine),
`programs` (a service as a child process), `nginx`, `object_store`, `deployment` (all of it as one context manager).
"""

"""Long jobs that operators start in the admin: the work of the management commands, with progress, result and log.

A job is a leased job (`instafeed.core.jobs.leased`): it runs in slices of a second on the queue `bulk`, and each slice
saves where the next one goes on. So it delays no other task, survives restarts of the workers, and can be cancelled.
"""

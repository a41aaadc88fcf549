"""Usernames and passwords of the demo network, which `seed_demo` creates and `manage.py stack` prints."""

DEMO_USERNAME = "demo"
DEMO_PASSWORD = "demo-password-1"  # noqa: S105 - public by design, valid on a seeded demo stack only
ADMIN_USERNAME = "admin"
ADMIN_PASSWORD = "admin-password-1"  # noqa: S105 - for all staff
# {username: group, or None for the superuser}
STAFF = {ADMIN_USERNAME: None, "moderator": "Moderator", "operator": "Operator"}

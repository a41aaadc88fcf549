"""Sign-in data of the demo network, as `seed_demo` creates it and `manage.py stack` prints it."""

DEMO_USERNAME = "demo"
DEMO_PASSWORD = "demo-password-1"  # noqa: S105 - public by design, and only on a seeded demo stack
ADMIN_USERNAME = "admin"
ADMIN_PASSWORD = "admin-password-1"  # noqa: S105 - of all staff
# By username the group; None for the superuser.
STAFF = {ADMIN_USERNAME: None, "moderator": "Moderator", "operator": "Operator"}

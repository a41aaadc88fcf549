"""Users and the audit log in the admin; `acting` is what all pages share on which moderators act."""

from accounts.admin import audit, users

__all__ = ["audit", "users"]

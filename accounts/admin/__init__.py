"""Users, groups and the audit log in the admin; `acting` is what all pages share on which moderators act."""

from accounts.admin import audit_entries, groups, users

__all__ = ["audit_entries", "groups", "users"]

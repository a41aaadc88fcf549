"""Users, registrations, groups, mails and the audit log in the admin.

`action_model_admin` is the base of pages with moderation actions.
"""

from accounts.admin import audit_entries, groups, mails, pending_accounts, policies, registration, users

__all__ = ["audit_entries", "groups", "mails", "pending_accounts", "policies", "registration", "users"]

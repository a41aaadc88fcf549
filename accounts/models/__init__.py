"""Models of accounts, by concept."""

from accounts.models.audit import AuditEntry
from accounts.models.mail import MailKind, OneTimeToken, OutgoingMail
from accounts.models.policy import Policy, Reason, Severity
from accounts.models.registration import BlockedEmailDomain, BlockedNetwork, Invite, PendingAccount, UsedChallenge
from accounts.models.sign_in import RecoveryCode, SecondFactor, Session
from accounts.models.user import (
    END_OF_TIME,
    SEARCH_FORM_SQL,
    USERNAME_PATTERN,
    CelebrityState,
    CountChange,
    Erasure,
    FormerUsername,
    User,
)

__all__ = [
    "END_OF_TIME",
    "SEARCH_FORM_SQL",
    "USERNAME_PATTERN",
    "AuditEntry",
    "BlockedEmailDomain",
    "BlockedNetwork",
    "CelebrityState",
    "CountChange",
    "Erasure",
    "FormerUsername",
    "Invite",
    "MailKind",
    "OneTimeToken",
    "OutgoingMail",
    "PendingAccount",
    "Policy",
    "Reason",
    "RecoveryCode",
    "SecondFactor",
    "Session",
    "Severity",
    "UsedChallenge",
    "User",
]

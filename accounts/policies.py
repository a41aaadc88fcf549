"""The policies that reports and decisions refer to."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import DEFAULT_DB_ALIAS

from accounts.models import Policy, Reason, Severity


def get_severity(reason: Reason) -> Severity:
    """Return the severity of the policy in use for this reason of reports; the lowest if there is none."""
    policies = Policy.objects.using(DEFAULT_DB_ALIAS).filter(is_active=True, reason=reason)
    return Severity(policies.values_list("severity", flat=True).first() or Severity.LOW)


def list_active() -> list[Policy]:
    """Return the policies in use, the most severe first."""
    return list(Policy.objects.using(DEFAULT_DB_ALIAS).filter(is_active=True))


def suggest(policies: Sequence[Policy], reasons: Sequence[str]) -> Policy | None:
    """Return the policy for the first of these reasons that has one."""
    by_reason = {policy.reason: policy for policy in policies if policy.reason}
    return next((by_reason[reason] for reason in reasons if reason in by_reason), None)

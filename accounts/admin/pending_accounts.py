"""Accounts that await approval: the oldest first, with what a moderator needs to decide."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import approval
from accounts.admin.action_model_admin import ActionModelAdmin
from accounts.admin.actions import AdminAction, OptionalReasonForm, with_reason
from accounts.models import PendingAccount
from instafeed.core.admin.buttons import ActionButtonsAdmin

_PERMISSION = "accounts.change_pendingaccount"
_FACTS = ("username", "email", "email_verified", "address", "registered")


@admin.register(PendingAccount)
class PendingAccountAdmin(ActionButtonsAdmin, ActionModelAdmin):
    admin_actions = (
        AdminAction(
            *("approve", "Approve", "approved", "Lets the user sign in, and mails a notice."),
            _PERMISSION,
            perform=with_reason(approval.approve, "pk"),
            form=OptionalReasonForm,
        ),
        AdminAction(
            *("reject", "Reject", "rejected", "Deletes the account for good. The user is not told."),
            _PERMISSION,
            perform=with_reason(approval.reject, "pk"),
            is_destructive=True,
        ),
    )
    list_title = "Accounts that await approval"
    list_display = _FACTS
    fields = readonly_fields = _FACTS
    ordering = ("pending_since", "pk")
    search_fields = ("username",)  # shows the search box; get_search_results runs the search
    search_help_text = "The beginning of a username."

    def get_queryset(self, request: HttpRequest) -> QuerySet[PendingAccount]:
        return cast("QuerySet[PendingAccount]", super().get_queryset(request)).filter(pending_since__isnull=False)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PendingAccount], search_term: str
    ) -> tuple[QuerySet[PendingAccount], bool]:
        term = search_term.strip().lower()
        return queryset.filter(username__startswith=term) if term else queryset, False

    def get_target(self, subject: Any) -> tuple[str, int]:
        return "user", cast(PendingAccount, subject).pk

    def get_affected_user_id(self, subject: Any) -> int:
        return cast(PendingAccount, subject).pk

    @admin.display
    def address(self, account: PendingAccount) -> str:
        """The client's address; of IPv6 its network."""
        return account.registration_address or "–"

    @admin.display(description="registered (UTC)")
    def registered(self, account: PendingAccount) -> str:
        return f"{account.pending_since:%Y-%m-%d %H:%M}"

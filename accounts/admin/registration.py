"""Invites, blocked email domains and blocked networks in the admin. Operators add and end them; each is audited."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import invites, registration_blocks
from accounts.admin.action_model_admin import ActionModelAdmin
from accounts.admin.actions import AdminAction, OptionalReasonForm, with_reason
from accounts.models import BlockedEmailDomain, BlockedNetwork, Invite, User
from instafeed.core.admin.buttons import ActionButtonsAdmin
from instafeed.core.admin.display import object_link, state_badge
from instafeed.core.admin.urls import changelist_url
from instafeed.core.db.cidr import Network


class AddedByStaffAdmin(ActionButtonsAdmin, ActionModelAdmin):
    """Base of pages whose rows staff add with a form and end with an action."""

    target_type: str  # in the audit log
    form_fields: tuple[str, ...]  # of the form that adds a row

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"accounts.add_{self.opts.model_name}")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.form_fields if obj is None else self.readonly_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("created_by")

    def get_target(self, subject: Any) -> tuple[str, int]:
        return self.target_type, subject.pk

    def get_affected_user_id(self, subject: Any) -> int:
        """Return 0: no account is affected."""
        return 0

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write nothing to Django's own log: the service writes to the audit log."""

    @admin.display(description="added by")
    def creator(self, row: Any) -> str:
        return "–" if row.created_by is None else object_link(User, row.created_by.pk, row.created_by.username)

    @admin.display(description="added (UTC)")
    def added(self, row: Any) -> str:
        return f"{row.created_at:%Y-%m-%d %H:%M}"


class InviteForm(forms.ModelForm):
    max_uses = forms.IntegerField(min_value=1, max_value=invites.MAX_USES, initial=1, label="Accounts")
    days = forms.IntegerField(
        min_value=0, max_value=invites.MAX_DAYS, initial=7, help_text="How long it is valid. 0: until it is revoked."
    )

    class Meta:
        model = Invite
        fields = ("max_uses", "note")


@admin.register(Invite)
class InviteAdmin(AddedByStaffAdmin):
    target_type = "invite"
    form_fields = ("max_uses", "days", "note")
    admin_actions = (
        AdminAction(
            *("revoke", "Revoke", "revoked", "No one can register with it any more. Accounts that came by it stay."),
            "accounts.change_invite",
            perform=with_reason(invites.revoke, "pk"),
            form=OptionalReasonForm,
            is_destructive=True,
            audit_action="revoke_invite",
        ),
    )
    form = InviteForm
    list_title = "Invites"
    list_display = ("shown_code", "state", "used", "expires", "note", "creator", "added")
    readonly_fields = ("shown_code", "link", "state", "used", "expires", "note", "creator", "added")

    def save_model(self, request: HttpRequest, obj: Invite, form: Any, change: bool) -> None:
        """Create the invite by the service. `obj` becomes the row, for the message and the redirect."""
        given = form.cleaned_data
        expires_at = invites.in_days(given["days"]) if given["days"] else None
        invite = invites.create(
            cast(User, request.user), max_uses=given["max_uses"], expires_at=expires_at, note=given["note"]
        )
        obj.pk, obj.code = invite.pk, invite.code

    @admin.display(description="code")
    def shown_code(self, invite: Invite) -> str:
        return invites.format_code(invite)

    @admin.display
    def link(self, invite: Invite) -> str:
        return invites.link(invite)

    @admin.display
    def state(self, invite: Invite) -> SafeString:
        if invite.revoked_at is not None:
            return state_badge("revoked", "bad")
        if invite.expires_at is not None and invite.expires_at <= timezone.now():
            return state_badge("expired", "bad")
        return state_badge("used up", "busy") if invite.uses >= invite.max_uses else state_badge("valid", "good")

    @admin.display(description="accounts")
    def used(self, invite: Invite) -> SafeString:
        """Link to the accounts that came by the invite. The linked page checks the permission to view them."""
        url = f"{changelist_url(User)}?invite={invite.pk}"
        return format_html('<a href="{}">{} of {}</a>', url, invite.uses, invite.max_uses)

    @admin.display(description="expires (UTC)")
    def expires(self, invite: Invite) -> str:
        return "never" if invite.expires_at is None else f"{invite.expires_at:%Y-%m-%d %H:%M}"


class BlockedEmailDomainForm(forms.ModelForm):
    class Meta:
        model = BlockedEmailDomain
        fields = ("domain", "note")
        help_texts = {"domain": "Such as example.org. Subdomains are blocked too."}

    def clean_domain(self) -> str:
        try:
            return registration_blocks.canonical_domain(self.cleaned_data["domain"])
        except ValueError:
            raise forms.ValidationError("Enter a domain, such as example.org.") from None


@admin.register(BlockedEmailDomain)
class BlockedEmailDomainAdmin(AddedByStaffAdmin):
    target_type = "email_domain"
    form_fields = ("domain", "note")
    admin_actions = (
        AdminAction(
            *("unblock", "Unblock", "unblocked", "Addresses of the domain can register again."),
            "accounts.delete_blockedemaildomain",
            perform=with_reason(registration_blocks.unblock_domain, "pk"),
            form=OptionalReasonForm,
            audit_action="unblock_domain",
        ),
    )
    form = BlockedEmailDomainForm
    list_title = "Blocked email domains"
    list_display = readonly_fields = ("domain", "note", "creator", "added")
    search_fields = ("domain",)  # shows the search box; get_search_results runs the search
    search_help_text = "A whole domain."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().lower()
        return queryset.filter(domain=term) if term else queryset, False

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        registration_blocks.block_domain(cast(User, request.user), cast(BlockedEmailDomain, obj))


class BlockedNetworkForm(forms.ModelForm):
    class Meta:
        model = BlockedNetwork
        fields = ("network", "note")

    def clean_network(self) -> Network:
        network: Network = BlockedNetwork._meta.get_field("network").clean(self.cleaned_data["network"], self.instance)
        if registration_blocks.is_too_large(network):
            raise forms.ValidationError("This network is too large. REGISTRATION=closed closes the registration.")
        return network


@admin.register(BlockedNetwork)
class BlockedNetworkAdmin(AddedByStaffAdmin):
    target_type = "network"
    form_fields = ("network", "note")
    admin_actions = (
        AdminAction(
            *("unblock", "Unblock", "unblocked", "Clients in the network can register again."),
            "accounts.delete_blockednetwork",
            perform=with_reason(registration_blocks.unblock_network, "pk"),
            form=OptionalReasonForm,
            audit_action="unblock_network",
        ),
    )
    form = BlockedNetworkForm
    list_title = "Blocked networks"
    list_display = readonly_fields = ("network", "note", "creator", "added")

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        registration_blocks.block_network(cast(User, request.user), cast(BlockedNetwork, obj))

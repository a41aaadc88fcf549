"""Detail pages that show the list's actions as buttons."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from instafeed.core.admin.base import BaseModelAdmin
from instafeed.core.admin.urls import changelist_url


class ActionButtonsAdmin(BaseModelAdmin):
    """Show each list action as a button on the detail page.

    A button posts the same form as selecting the object in the list and choosing the action, so both ways share one
    implementation and one permission check.
    """

    change_form_template = "admin/change_form_with_buttons.html"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        actions = self.get_actions(request)
        context["buttons"] = [action[1:] for action in actions.values() if action]
        context["buttons_url"] = changelist_url(self.model)
        return super().render_change_form(request, context, *args, **kwargs)

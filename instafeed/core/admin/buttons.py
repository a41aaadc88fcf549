"""Detail pages with the list's actions as buttons."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from instafeed.core.admin.base import BaseModelAdmin
from instafeed.core.admin.urls import changelist_url


class ActionButtonsAdmin(BaseModelAdmin):
    """A button posts what ticking the object in the list and choosing the action would: one way, one check."""

    change_form_template = "admin/change_form_with_buttons.html"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        actions = self.get_actions(request)
        context["buttons"] = [action[1:] for action in actions.values() if action]
        context["buttons_url"] = changelist_url(self.model)
        return super().render_change_form(request, context, *args, **kwargs)

"""What views that check a password have in common."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import AuthenticationFailed, ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.throttles import accept_password


class WrongCredentials(AuthenticationFailed):
    """401: the same for an unknown account, a wrong password and an account that is not active."""

    default_detail = "No account with this username and password."
    default_code = "wrong_credentials"


class WrongCurrentPassword(ValidationError):
    """400: a signed-in user gave a wrong current password in `field`."""

    def __init__(self, field: str) -> None:
        super().__init__({field: [ErrorDetail("This is not the current password.", "wrong_password")]})


class PasswordCheckView(APIView):
    """Base of views that check a password. A request counts as an attempt only if the password was wrong."""

    _was_wrong = False

    def handle_exception(self, exc: Exception) -> Response:
        self._was_wrong = isinstance(exc, WrongCredentials | WrongCurrentPassword)
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._was_wrong:
            accept_password(request)
        return super().finalize_response(request, response, *args, **kwargs)

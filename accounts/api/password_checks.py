"""What views that check a password or a code of the second factor have in common."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import AuthenticationFailed, ErrorDetail, PermissionDenied, ValidationError
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


class ApprovalPending(PermissionDenied):
    """403: the password was right, and a moderator has not approved the registration yet."""

    default_detail = "A moderator has not approved this account yet."
    default_code = "approval_pending"


class OtpRequired(AuthenticationFailed):
    """401: the password was right, the account has a second factor, and no `otp` was given."""

    default_detail = "This account has a second factor: send a code as `otp`."
    default_code = "otp_required"


class WrongOtp(AuthenticationFailed):
    """401: the password was right, and the code of the second factor is wrong or was used before."""

    default_detail = "The code is wrong or was used before."
    default_code = "wrong_otp"


class WrongCurrentCode(ValidationError):
    """400: a signed-in user gave a wrong code of the second factor in `code`."""

    def __init__(self) -> None:
        super().__init__({"code": [ErrorDetail("The code is wrong or was used before.", "wrong_code")]})


class PasswordCheckView(APIView):
    """Base of views that check a password or a code. A request counts as an attempt only if one was wrong."""

    _was_wrong = False

    def handle_exception(self, exc: Exception) -> Response:
        self._was_wrong = isinstance(exc, WrongCredentials | WrongOtp | WrongCurrentPassword | WrongCurrentCode)
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._was_wrong:
            accept_password(request)
        return super().finalize_response(request, response, *args, **kwargs)

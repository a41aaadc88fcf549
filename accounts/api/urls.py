"""Sign-in and the own account, under /api/v1."""

from django.urls import path

from accounts.api import (
    browser_session,
    export,
    mail_links,
    registration,
    second_factor,
    sessions,
    token_scheme,  # noqa: F401 (registers the OpenAPI description of tokens)
    views,
)

urlpatterns = [
    path("auth/register", registration.Register.as_view()),
    path("auth/captcha", registration.Captcha.as_view()),
    path("auth/token", views.SignIn.as_view()),
    path("auth/token/refresh", views.Refresh.as_view()),
    path("auth/session", browser_session.BrowserSession.as_view()),
    path("auth/logout", views.SignOut.as_view()),
    path("auth/password", views.Password.as_view()),
    path("auth/email/verify", mail_links.EmailVerification.as_view()),
    path("auth/email/resend", mail_links.EmailVerificationMail.as_view()),
    path("auth/password/reset", mail_links.PasswordReset.as_view()),
    path("auth/password/reset/confirm", mail_links.PasswordResetConfirmation.as_view()),
    path("me", views.Me.as_view()),
    path("me/email", mail_links.EmailChange.as_view()),
    path("me/export", export.Export.as_view()),
    path("me/totp", second_factor.Totp.as_view()),
    path("me/totp/confirm", second_factor.TotpConfirmation.as_view()),
    path("me/sessions", sessions.Sessions.as_view()),
    path("me/sessions/<str:session_id>", sessions.OneSession.as_view()),
]

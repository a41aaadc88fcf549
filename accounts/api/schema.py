"""How the OpenAPI description shows bearer tokens; registered by being imported."""

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme


class TokenScheme(SimpleJWTScheme):
    target_class = "accounts.authentication.TokenAuthentication"
    name = "token"

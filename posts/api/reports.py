"""The endpoint of reports."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from accounts.models import Reason
from instafeed.core.api.openapi.components import not_found_response
from instafeed.core.api.throttling import ReportThrottle, UserThrottle
from posts import services
from posts.api.serializers import ReportInputSerializer, ReportSerializer
from posts.contacts import get_reportable_comment, get_reportable_post_author_id
from posts.models import TargetType
from social.visibility import get_reachable_user_by_id


class ReportsView(APIView):
    throttle_classes = [UserThrottle, ReportThrottle]

    @extend_schema(
        operation_id="create_report",
        request=ReportInputSerializer,
        responses={
            200: OpenApiResponse(ReportSerializer, "You reported this before."),
            201: ReportSerializer,
            **not_found_response("The target does not exist, or you cannot see it."),
        },
        tags=["reports"],
    )
    def post(self, request: Request) -> Response:
        """Report a post, comment or account to the moderators.

        A repeated report returns the first one with 200. If the text was edited since, it gets the new reason and note,
        and the moderators see it again.
        """
        data = ReportInputSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        user_id, given = current_user(request).pk, data.validated_data
        target = _resolve_target(user_id, TargetType(given["target_type"]), given["target_id"])
        report, is_new = services.file_report(user_id, target, Reason(given["reason"]), given["note"])
        return Response(ReportSerializer(report).data, status=201 if is_new else 200)


def _resolve_target(user_id: int, target_type: TargetType, target_id: int) -> services.Target:
    if target_type == TargetType.POST:
        owner_id = get_reportable_post_author_id(user_id, target_id)
    elif target_type == TargetType.COMMENT:
        owner_id = get_reportable_comment(user_id, target_id).author_id
    else:
        owner_id = get_reachable_user_by_id(user_id, target_id).pk
    return services.Target(target_type, target_id, owner_id)

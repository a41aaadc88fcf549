from posts.models.comment import Comment
from posts.models.counter import Counter
from posts.models.hashtag import Hashtag, PostHashtag
from posts.models.mention import PostMention
from posts.models.post import ExploreRanking, Post, PostMedia
from posts.models.reaction import CommentLike, Like, Save
from posts.models.report import Case, CaseState, Reason, Report, TargetType

__all__ = [
    "Case",
    "CaseState",
    "Comment",
    "CommentLike",
    "Counter",
    "ExploreRanking",
    "Hashtag",
    "Like",
    "Post",
    "PostHashtag",
    "PostMedia",
    "PostMention",
    "Reason",
    "Report",
    "Save",
    "TargetType",
]

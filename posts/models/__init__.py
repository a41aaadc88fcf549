from posts.models.comment import Comment
from posts.models.counter import Counter
from posts.models.hashtag import Hashtag, PostHashtag
from posts.models.mention import PostMention
from posts.models.note import Note
from posts.models.post import ExploreRanking, Post, PostMedia
from posts.models.reaction import CommentLike, Like, Save
from posts.models.report import Case, CaseClosing, CaseState, Report, TargetType

__all__ = [
    "Case",
    "CaseClosing",
    "CaseState",
    "Comment",
    "CommentLike",
    "Counter",
    "ExploreRanking",
    "Hashtag",
    "Like",
    "Note",
    "Post",
    "PostHashtag",
    "PostMedia",
    "PostMention",
    "Report",
    "Save",
    "TargetType",
]

"""Reports of some of the demo network's posts, authors and comments, for the moderators' queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from accounts.models import Reason
from instafeed.demo.engagement import DemoPost
from posts.models import Comment, TargetType
from posts.services import Target, file_report

REPORTED_POSTS = 24
REPORTED_COMMENTS = 4  # and as many accounts
MAX_REPORTS_PER_TARGET = 6
# Most reports are about small things, and most reports of one target agree.
WEIGHTS = {
    Reason.SPAM: 12,
    Reason.NUDITY: 8,
    Reason.MISINFORMATION: 6,
    Reason.HARASSMENT: 4,
    Reason.COPYRIGHT: 4,
    Reason.OTHER: 4,
    Reason.VIOLENCE: 2,
    Reason.HATE: 2,
    Reason.SELF_HARM: 1,
    Reason.CHILD_SAFETY: 1,
}
AGREEMENT = 0.8  # probability that a report has the main reason of its target
NOTES = ("", "", "Not in front of my children, please.", "The third time this week.", "This is my picture, stolen.")


def load_reports(posts: Sequence[DemoPost], people: int, first_id: int, seed: int) -> None:
    """File reports by people whose ids begin at `first_id`. Must run in the loader's transaction."""
    rng = Random(f"{seed}/reports")
    for target in _targets(posts, first_id, rng):
        main = _choose_reason(rng)
        for reporter in rng.sample(range(people), min(people, rng.randint(1, MAX_REPORTS_PER_TARGET))):
            reason = main if rng.random() < AGREEMENT else Reason.OTHER
            file_report(first_id + reporter, target, reason, rng.choice(NOTES))


def _choose_reason(rng: Random) -> Reason:
    return rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


def _targets(posts: Sequence[DemoPost], first_id: int, rng: Random) -> Iterator[Target]:
    for post in rng.sample(posts, min(REPORTED_POSTS, len(posts))):
        yield Target(TargetType.POST, post.id, first_id + post.author)
    for post in rng.sample(posts, min(REPORTED_COMMENTS, len(posts))):
        yield Target(TargetType.USER, first_id + post.author, first_id + post.author)
    comments = Comment.objects.filter(post__in=[post.id for post in posts]).order_by("pk")
    for comment in comments[:REPORTED_COMMENTS]:
        yield Target(TargetType.COMMENT, comment.pk, comment.author_id)

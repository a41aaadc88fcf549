import json

import pytest

from accounts.models import User
from feeds import assembly, fanout
from posts import services as posts
from social.services import follows


@pytest.mark.django_db(transaction=True)
def test_smoke():
    a = User.objects.create_user("alice")
    b = User.objects.create_user("bobby")
    follows.follow(b.pk, a.pk)
    assert assembly.page(b.pk, None, 20) == ([], None)
    p = posts.create_post(a.pk, "hello")
    assert [json.loads(x)["id"] for x in assembly.page(a.pk, None, 20)[0]] == [str(p.pk)]
    fanout.deliver_slice(p.pk)
    page, nxt = assembly.page(b.pk, None, 20)
    assert [json.loads(x)["caption"] for x in page] == ["hello"]
    for i in range(30):
        fanout.deliver_slice(posts.create_post(a.pk, f"hello {i}").pk)
    page, nxt = assembly.page(b.pk, None, 20)
    assert len(page) == 20
    page2, nxt2 = assembly.page(b.pk, nxt, 20)
    assert len(page2) == 11 and nxt2 is None

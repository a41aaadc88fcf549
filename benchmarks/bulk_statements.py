"""The statements of `benchmarks.bulk_rows` in their order, by the name of what they insert.

Parameters: `users`, `posts`: how many. `user`: the first user's id. `first`, `step`: the smallest post id, and the
distance between two. `now`; `seconds`: the age of the oldest post. `caption`, `variants`: texts. `celebrity`: how many
followers make one.
"""

from __future__ import annotations

# `uniform` is a random number from 0 to 1, always the same for the same arguments. `popular` and `anyone` choose a
# user, `recent` chooses a post, `comment_id` is the id of the n-th comment. The ranks of popularity are scattered over
# the ids: 7,368,787 is a prime number.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION pg_temp.uniform(n bigint, seed bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((hashint8extended(n, seed) >> 12) & 1099511627775) / 1099511627776.0::float8;
CREATE OR REPLACE FUNCTION pg_temp.popular(n bigint, seed bigint, exponent float8 DEFAULT 4) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN %(user)s + floor(%(users)s * pg_temp.uniform(n, seed) ^ exponent)::bigint * 7368787 %% %(users)s;
CREATE OR REPLACE FUNCTION pg_temp.anyone(n bigint, seed bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN %(user)s + floor(%(users)s * pg_temp.uniform(n, seed))::bigint;
CREATE OR REPLACE FUNCTION pg_temp.recent(n bigint, seed bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN %(first)s + %(step)s * (%(posts)s - floor(%(posts)s * pg_temp.uniform(n, seed) ^ 3)::bigint);
CREATE OR REPLACE FUNCTION pg_temp.comment_id(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pg_temp.recent(n, 40) + 8 * n;
"""

# A user follows exp(N(mean, 1)) others: 2.51 gives 20 on average, after duplicates and oneself are dropped.
FOLLOWS = {
    "follows": """
        INSERT INTO social_follow (followee_id, follower_id, created_at)
        SELECT followee.id, follower.id,
               %(now)s - make_interval(secs => 2 * %(seconds)s * pg_temp.uniform(follower.id, followee.id))
        FROM generate_series(%(user)s, %(user)s + %(users)s - 1) AS follower (id)
        CROSS JOIN LATERAL (
            SELECT least(500, greatest(1, exp(2.51 + sqrt(-2 * ln(1 - pg_temp.uniform(follower.id, 1)))
                                                     * cos(2 * pi() * pg_temp.uniform(follower.id, 2)))))::int AS count
        ) AS followees
        CROSS JOIN LATERAL (
            SELECT DISTINCT pg_temp.popular(follower.id * 1000 + k, 3) AS id
            FROM generate_series(1, followees.count) AS k
        ) AS followee
        WHERE followee.id <> follower.id
    """,
    "counts of follows": """
        CREATE TEMPORARY TABLE follow_counts ON COMMIT DROP AS
        SELECT id, sum(followers)::int AS followers, sum(followees)::int AS followees
        FROM (
            SELECT followee_id AS id, count(*) AS followers, 0 AS followees FROM social_follow GROUP BY followee_id
            UNION ALL SELECT follower_id, 0, count(*) FROM social_follow GROUP BY follower_id
        ) AS counts GROUP BY id
    """,
}

USERS = {
    "users": """
        INSERT INTO accounts_user (id, username, email, email_verified, password, is_superuser, display_name, bio,
                                   website, avatar_path, is_private, is_active, is_staff, suspended_at, celebrity_state,
                                   follower_count, following_count, post_count, created_at)
        SELECT id, 'user' || n, 'user' || n || '@example.com', n %% 2 = 0, '!', false,
               (ARRAY['Ada', 'Ben', 'Chiara', 'Dmitri', 'Elif', 'Fatou', 'Grace', 'Hugo', 'Ines', 'Jun', 'Kofi', 'Lena',
                      'Mateo', 'Noor', 'Olga', 'Priya'])[1 + floor(16 * pg_temp.uniform(n, 11))::int] || ' '
               || (ARRAY['Okafor', 'Silva', 'Tanaka', 'Novak', 'Berg', 'Rossi', 'Khan', 'Lopez', 'Adeyemi', 'Fischer',
                         'Moreau', 'Demir', 'Jones', 'Kim', 'Petrov', 'Haddad'])
                  [1 + floor(16 * pg_temp.uniform(n, 12))::int] || ' ' || n %% 1000,
               'Just me.', '', '', n %% 33 = 0 AND coalesce(followers, 0) < %(celebrity)s, n %% 1000 <> 0,
               n %% 100000 = 0, CASE WHEN n %% 1000 = 0 THEN %(now)s END,
               CASE WHEN followers >= %(celebrity)s THEN 2 ELSE 0 END, coalesce(followers, 0), coalesce(followees, 0),
               coalesce(posts.count, 0), %(now)s - make_interval(secs => 3 * %(seconds)s * pg_temp.uniform(n, 13))
        FROM (SELECT id, id - %(user)s + 1 AS n
              FROM generate_series(%(user)s, %(user)s + %(users)s - 1) AS series (id)) AS numbers
        LEFT JOIN follow_counts USING (id)
        LEFT JOIN (SELECT pg_temp.popular(n, 20, 2) AS id, count(*) FROM generate_series(1, %(posts)s) AS n GROUP BY 1)
                  AS posts USING (id)
        ORDER BY id
    """,
}

CONTENT = {
    "posts": """
        INSERT INTO posts_post (id, author_id, caption, created_at, hidden_at)
        SELECT %(first)s + n * %(step)s, pg_temp.popular(n, 20, 2),
               %(caption)s || CASE WHEN n %% 4 = 0 THEN ' #light' || floor(%(users)s / 100 * pg_temp.uniform(n, 21) ^ 3)
                                   ELSE '' END || ' (' || n || ')',
               %(now)s - make_interval(secs => %(seconds)s * (1 - n / %(posts)s::float8)),
               CASE WHEN n %% 5000 = 0 THEN %(now)s END
        FROM generate_series(1, %(posts)s) AS n
    """,
    "pictures": """
        INSERT INTO media_media (id, owner_id, status, error, key, is_public, is_attached, width, height, variants,
                                 blurhash, alt_text)
        SELECT %(first)s + n * %(step)s - 5, owner.id, CASE WHEN n %% 2000 = 0 THEN 3 ELSE 2 END,
               CASE WHEN n %% 2000 = 0 THEN 'The file is broken.' ELSE '' END,
               CASE WHEN n %% 2000 = 0 THEN '' ELSE lpad(n::text, 40, '0') END,
               not owner.is_private, true, 1080, 1350, %(variants)s, 'LEHV6nWB2yk8pyo0adR*.7kCMdnj',
               'Boats at a quay in the evening sun'
        FROM generate_series(2, %(posts)s, 2) AS n JOIN accounts_user AS owner ON owner.id = pg_temp.popular(n, 20, 2)
    """,
    "pictures of posts": """
        INSERT INTO posts_postmedia (post_id, position, media_id) SELECT id + 5, 0, id FROM media_media
    """,
    "hashtags": """
        INSERT INTO posts_hashtag (name)
        SELECT DISTINCT 'light' || floor(%(users)s / 100 * pg_temp.uniform(n, 21) ^ 3)
        FROM generate_series(4, %(posts)s, 4) AS n
    """,
    "hashtags of posts": """
        INSERT INTO posts_posthashtag (hashtag_id, post_id)
        SELECT hashtag.id, %(first)s + n * %(step)s
        FROM generate_series(4, %(posts)s, 4) AS n
        JOIN posts_hashtag AS hashtag ON hashtag.name = 'light' || floor(%(users)s / 100 * pg_temp.uniform(n, 21) ^ 3)
    """,
    "fan-outs": """
        INSERT INTO feeds_fanout (post_id, author_id, mode, state, deliveries, due_at, created_at, finished_at, error)
        SELECT post.id, author.id, (author.celebrity_state = 2)::int, CASE WHEN hidden_at IS NULL THEN 2 ELSE 3 END,
               0, post.created_at, post.created_at, post.created_at + interval '0.3 seconds', ''
        FROM posts_post AS post JOIN accounts_user AS author ON author.id = author_id
        WHERE post.created_at > %(now)s - interval '30 days'
    """,
    "comments": """
        INSERT INTO posts_comment (id, post_id, author_id, text, hidden_at)
        SELECT pg_temp.comment_id(n), pg_temp.recent(n, 40), pg_temp.anyone(n, 41), 'What a day! ' || n,
               CASE WHEN n %% 5000 = 0 THEN %(now)s END
        FROM generate_series(1, %(users)s) AS n
    """,
    "saves": """
        INSERT INTO posts_save (user_id, post_id)
        SELECT DISTINCT pg_temp.anyone(n, 50), pg_temp.recent(n, 51) FROM generate_series(1, %(users)s / 4) AS n
    """,
    "sessions": """
        INSERT INTO accounts_session (user_id, refresh_jti, client, address, expires_at)
        SELECT %(user)s + n, md5(n::text), 'Instafeed 1.0 on a phone', '203.0.113.7', %(now)s + interval '14 days'
        FROM generate_series(0, %(users)s - 1, 4) AS n
    """,
}

# A like is in one of the eight slots of its post's counter.
REACTIONS = {
    "likes": """
        INSERT INTO posts_like (post_id, user_id)
        SELECT post.id, liker.id FROM generate_series(%(user)s, %(user)s + %(users)s - 1) AS liker (id)
        CROSS JOIN LATERAL (
            SELECT DISTINCT pg_temp.recent(liker.id * 8 + k, 30) AS id
            FROM generate_series(1, (6 * pg_temp.uniform(liker.id, 31))::int) AS k
        ) AS post
    """,
    "likes of comments": """
        INSERT INTO posts_commentlike (comment_id, user_id)
        SELECT DISTINCT pg_temp.comment_id(1 + floor(%(users)s * pg_temp.uniform(n, 32))::bigint), pg_temp.anyone(n, 33)
        FROM generate_series(1, %(users)s / 5) AS n
    """,
    "counters": """
        INSERT INTO posts_counter (subject_id, slot, likes, comments)
        SELECT subject_id, user_id %% 8, sum(likes), sum(comments)
        FROM (
            SELECT post_id AS subject_id, user_id, 1 AS likes, 0 AS comments FROM posts_like
            UNION ALL SELECT comment_id, user_id, 1, 0 FROM posts_commentlike
            UNION ALL SELECT post_id, author_id, 0, 1 FROM posts_comment
        ) AS changes GROUP BY 1, 2
    """,
    "notifications": """
        INSERT INTO social_notification (recipient_id, aggregation_key, kind, post_id, position, actor_count,
                                         created_at, is_dismissed)
        SELECT author_id, 'like:post:' || id, 'like', id, nextval('social_notification_position'), count,
               %(now)s, n %% 100 = 0
        FROM (
            SELECT post.id, author_id, count(*), (post.id - %(first)s) / %(step)s AS n
            FROM posts_like JOIN posts_post AS post ON post.id = post_id AND author_id <> user_id
            WHERE post.id > %(first)s + %(step)s * (%(posts)s * 0.9)::bigint GROUP BY post.id
        ) AS liked ORDER BY id
    """,
    "notifications of follows": """
        INSERT INTO social_notification (recipient_id, aggregation_key, kind, position, actor_count, created_at,
                                         is_dismissed)
        SELECT followee_id, 'follow:' || follower_id, 'follow', nextval('social_notification_position'), 1,
               follow.created_at, false
        FROM social_follow AS follow WHERE follow.created_at > %(now)s - interval '2 days' ORDER BY follow.created_at
    """,
    "actors of notifications": """
        INSERT INTO social_notificationactor (notification_id, actor_id, position, announced_at, is_active)
        SELECT entry.id, user_id, position, entry.created_at, true
        FROM social_notification AS entry JOIN posts_like USING (post_id) WHERE user_id <> recipient_id
        UNION ALL
        SELECT id, substr(aggregation_key, 8)::bigint, position, created_at, true
        FROM social_notification WHERE kind = 'follow'
    """,
    "read positions": """
        INSERT INTO social_notificationstate (user_id, read_up_to)
        SELECT %(user)s + n, 0 FROM generate_series(0, %(users)s - 1, 2) AS n
    """,
}

# These need the index of follows.
RELATIONS = {
    "follow requests": """
        INSERT INTO social_followrequest (followee_id, follower_id)
        SELECT owner.id, pg_temp.anyone(owner.id * 8 + k, 60) FROM accounts_user AS owner, generate_series(1, 3) AS k
        WHERE is_private AND owner.id <> pg_temp.anyone(owner.id * 8 + k, 60)
          AND NOT EXISTS (SELECT FROM social_follow
                          WHERE followee_id = owner.id AND follower_id = pg_temp.anyone(owner.id * 8 + k, 60))
        ON CONFLICT DO NOTHING
    """,
    "blocks": """
        INSERT INTO social_block (blocker_id, blocked_id)
        SELECT blocker, blocked
        FROM (SELECT pg_temp.anyone(n, 61) AS blocker, pg_temp.anyone(n, 62) AS blocked
              FROM generate_series(1, %(users)s / 20) AS n) AS pairs
        WHERE blocker <> blocked AND NOT EXISTS (
            SELECT FROM social_follow
            WHERE (followee_id, follower_id) = (blocker, blocked) OR (followee_id, follower_id) = (blocked, blocker))
        ON CONFLICT DO NOTHING
    """,
    "mutes": """
        INSERT INTO social_mute (muter_id, muted_id)
        SELECT follower_id, followee_id FROM social_follow WHERE pg_temp.uniform(follower_id, followee_id) < 0.002
    """,
}

MODERATION = {
    "reports": """
        INSERT INTO posts_report (reporter_id, target_type, target_id, reason, note)
        SELECT %(user)s + (n * 7 + k) %% %(users)s, 'post', %(first)s + n * %(step)s, 'spam', 'Look at this.'
        FROM generate_series(1, %(users)s / 10) AS n, generate_series(1, 5) AS k
    """,
    "cases": """
        INSERT INTO posts_case (target_type, target_id, user_id, report_count, reason_counts, severity,
                                first_reported_at, last_reported_at, state, closed_at)
        SELECT CASE WHEN n %% 500 = 0 THEN 'comment' ELSE 'post' END, %(first)s + n * %(step)s,
               %(user)s + n %% %(users)s, 5,
               jsonb_build_object(CASE WHEN n %% 1000 = 0 THEN 'nudity' ELSE 'spam' END, 5),
               CASE WHEN n %% 1000 = 0 THEN 2 ELSE 1 END,
               %(now)s, %(now)s, CASE WHEN n %% 10 = 0 THEN 0 WHEN n %% 100 = 1 THEN 2 ELSE 1 END,
               CASE WHEN n %% 10 <> 0 THEN %(now)s - make_interval(mins => n %% 100000) END
        FROM generate_series(1, %(users)s / 10) AS n
    """,
    "audit entries": """
        INSERT INTO accounts_auditentry (actor_id, actor_name, action, target_type, target_id, user_id, reason,
                                         before, after)
        SELECT 1, 'moderator', 'hide', 'post', %(first)s + n * %(step)s, %(user)s + n %% %(users)s, 'Spam.', '{}', '{}'
        FROM generate_series(1, %(users)s / 5) AS n
    """,
    "former usernames": """
        INSERT INTO accounts_formerusername (username, user_id, created_at, reserved_until)
        SELECT 'former' || n, %(user)s + n, %(now)s, %(now)s + interval '30 days'
        FROM generate_series(0, %(users)s - 1, 100) AS n
    """,
}

"""The demo network of `manage.py seed_demo`: plausible, deterministic for a seed, up to a million users.

`network` says who follows whom and who posts when, `voices` and `people` what they are called and what they
write, `pictures` what they show; none of these knows the database. `loader` brings it there by COPY.
"""

"""The demo network of `manage.py seed_demo`: realistic, deterministic for a seed, up to a million users.

* `network`: who follows whom and who posts when
* `locales` and `profiles`: names, biographies and captions in eight languages
* `pictures`: drawn landscapes, or photographs from a folder

None of these uses the database. `loader` writes the network with COPY, with the rows of `accounts`, `engagement`
(likes, comments, hashtags) and `reports`. `seed_marker` stores what a database was seeded with.
"""

"""The page of a feed as others make it, on the tables of `benchmarks.pull`: plain pull in the ORM, and actstream.

Neither has middleware, authentication, rate limits or a check for mutes and blocks, which the project's page has.
"""

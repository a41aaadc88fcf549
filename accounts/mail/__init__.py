"""Mails to users: queued with their cause, written and sent by a worker, with links that work once (ADR 13).

`outbox` queues, `sending` sends, `messages` writes the texts, `one_time_tokens` makes and takes the tokens of links.
"""

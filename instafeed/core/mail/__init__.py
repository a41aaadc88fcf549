"""How mails leave the site: the parsed EMAIL_URL, and backends that Django's mail lacks."""

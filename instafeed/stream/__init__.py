"""Live updates: GET /stream announces that there is something new, as Server-Sent Events (docs/live-updates.md).

    Redis ──▶ listener ──▶ hub ──▶ reads (threads) ──▶ hub ──▶ connection ──▶ client
     hints                 dirty viewers                counts    events

| module | responsibility |
| --- | --- |
| `server` | the process: uvicorn with the application, and its orderly end |
| `application` | the ASGI callable: Django answers in threads; an accepted stream continues on the event loop |
| `views` | the endpoint: authentication, limits and the API's errors, as everywhere else |
| `places` | how many streams a user and the process may have |
| `listener` | receives hints (`instafeed.core.cache.hints`) from Redis, and says when some may be lost |
| `hub` | the connected viewers: whose counts must be read again, and when |
| `checks` | what is looked up for all viewers each minute: tokens, and whether a hint was lost |
| `reads`, `seen_posts` | the counts of viewers, by the code of the API's reads |
| `connection` | one client: what is not sent yet, heartbeats, the end |

Only the event loop's thread touches hub and connections, and it never waits for PostgreSQL or Redis.
"""

# One image for web, worker, beat and one-off commands; the command decides which.

FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt ./
COPY deploy/requirements.py deploy/
RUN python -m venv /venv \
    && python deploy/requirements.py > requirements.txt \
    && /venv/bin/pip install --no-cache-dir -c constraints.txt -r requirements.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home instafeed
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY deploy/gunicorn.conf.py deploy/
COPY instafeed instafeed
COPY accounts accounts
COPY social social
COPY media media
COPY posts posts
COPY feeds feeds
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    WEB_BIND=0.0.0.0 DATABASE_POOL=true INSTAFEED_STATIC_ROOT=/app/staticfiles
# Offline: no database is needed to collect the admin's files.
RUN DATABASE_POOL=false python manage.py collectstatic --noinput
USER instafeed
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["python", "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi:application"]

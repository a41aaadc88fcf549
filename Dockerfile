# One image for web, workers, beat and commands, selected by the command. It needs no root and writes to /tmp only:
# `docker run --read-only --tmpfs /tmp …`.
#
#     docker build -t instafeed .                                   the application
#     docker build -t instafeed-flower --target flower .            Flower, the monitor of the workers
#
# To pin the exact content of the base image, add the digest from `docker buildx imagetools inspect
# python:3.11.14-slim-bookworm`: `FROM python:3.11.14-slim-bookworm@sha256:… AS base`.

FROM python:3.11.14-slim-bookworm AS base
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# Requirements before code, so that a change of code does not reinstall them. Only http_ece has no wheel.
FROM base AS build
WORKDIR /build
RUN python -m venv /venv
COPY pyproject.toml constraints.txt ./
COPY deploy/requirements.py deploy/
RUN python deploy/requirements.py mail > requirements.txt \
    && pip install --no-cache-dir --no-compile --only-binary :all: --no-binary http_ece -c constraints.txt -r requirements.txt \
    && python -m compileall -q /venv

FROM build AS build-flower
RUN python deploy/requirements.py flower > requirements.txt \
    && pip install --no-cache-dir --no-compile --only-binary :all: -c constraints.txt -r requirements.txt

FROM base AS app
RUN useradd --system --uid 10001 --no-create-home --home-dir /tmp instafeed
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py LICENSE NOTICE ./
COPY deploy/gunicorn.conf.py deploy/
COPY instafeed instafeed
COPY accounts accounts
COPY social social
COPY media media
COPY posts posts
COPY feeds feeds
ENV WEB_BIND=0.0.0.0 MEDIA_ROOT=/tmp/media INSTAFEED_STATIC_ROOT=/app/staticfiles
# collectstatic needs no database. The code is compiled here, as the container is read-only.
RUN python manage.py collectstatic --noinput && python -m compileall -q .
USER instafeed
EXPOSE 8000
# For the web server; docker-compose.yml has other checks for workers.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["python", "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi:application"]

FROM app AS flower
COPY --from=build-flower /venv /venv
COPY deploy/flower-start.sh /flower-start.sh
EXPOSE 5555
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5555/healthcheck', timeout=2)"]
ENTRYPOINT ["/bin/sh", "/flower-start.sh"]

# `docker build` without --target builds the last stage.
FROM app

# Two stages: the first has Poetry and installs the locked dependencies, the second has neither Poetry nor a compiler.
#
#   docker build -t frankenjet-api .
#   docker build --build-arg PACKAGE_INDEX_URL=<simple index of a mirror> -t frankenjet-api .
#
# The mirror's address stays in the build stage and does not reach the image that is shipped.

ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim-trixie AS build
ARG POETRY_VERSION=2.5.1
ARG POETRY_MIRROR_PLUGIN_VERSION=0.6.5
ARG PACKAGE_INDEX_URL=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    POETRY_NO_INTERACTION=1 \
    POETRY_VIRTUALENVS_IN_PROJECT=1 \
    POETRY_VIRTUALENVS_OPTIONS_NO_PIP=1
WORKDIR /app

# Poetry has no setting for a mirror of its default index, hence the plugin, only where a mirror is named.
RUN python -m venv /opt/poetry \
    && PIP_INDEX_URL="${PACKAGE_INDEX_URL}" /opt/poetry/bin/pip install \
        "poetry==${POETRY_VERSION}" \
        ${PACKAGE_INDEX_URL:+"poetry-plugin-pypi-mirror==${POETRY_MIRROR_PLUGIN_VERSION}"}

# Only the lock decides this layer: a change of our own code does not install anything again.
COPY pyproject.toml poetry.lock ./
RUN --mount=type=cache,target=/root/.cache/pypoetry \
    POETRY_PYPI_MIRROR_URL="${PACKAGE_INDEX_URL}" \
    /opt/poetry/bin/poetry install --only main --no-root --compile


FROM python:${PYTHON_VERSION}-slim-trixie AS runtime
LABEL org.opencontainers.image.title="FrankenJet API" \
      org.opencontainers.image.description="The backend of an encyclopedia of aviation history" \
      org.opencontainers.image.licenses="MIT"

# pg_dump, pg_restore and psql of the server's version, for `main.py backup` and `restore`.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/*

# A fixed number, so that a volume's owner and `runAsUser` can name it. The folder is where the composition mounts its
# secrets: a new volume takes over the owner of the folder that it covers.
RUN groupadd --gid 10001 frankenjet \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin frankenjet \
    && install -d -o 10001 -g 10001 /var/lib/frankenjet/secrets

ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    PYTHONUNBUFFERED=1 \
    APP__MODE=production
WORKDIR /app

# Everything below /app belongs to root and is not writable by the application: the root file system may be read-only.
COPY --from=build /app/.venv ./.venv
COPY LICENSE NOTICE pyproject.toml alembic.ini main.py ./
COPY scripts/make_env.sh ./scripts/make_env.sh
COPY alembic ./alembic
COPY fastapi_application ./fastapi_application
RUN python -m compileall -q main.py alembic fastapi_application

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM

# http.client and not urllib: the latter would follow HTTP_PROXY for our own address.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", "\
import http.client, os, sys; \
connection = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('SERVER__PORT') or 8000), timeout=4); \
connection.request('GET', '/api/v1/health/live'); \
sys.exit(connection.getresponse().status != 200)"]

CMD ["python", "main.py", "serve", "--host", "0.0.0.0"]

# FrankenJet API. Every target makes what it needs; needs only git, make and a Python >= 3.12.
.DEFAULT_GOAL := help
.PHONY: help run env test audit sbom secrets-history pin-images check check-texts bench bench-accounts bench-search faults alerts scale format lint-migrations clean distclean install install-dev

PYTEST_ARGS ?=
FAULTS_ARGS ?=
ALERTS_ARGS ?=
SCALE_ARGS ?=
JOBS ?= 2
BENCH_ARGS ?=
python := .venv/bin/python

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-16s %s\n", $$1, $$2 }'

# HOST counts only when given to make: some shells set it to the name of the machine.
# `exec`, so that a signal to make reaches the application itself.
run: install ## Start everything on http://127.0.0.1:8000 (PORT=8000 HOST=127.0.0.1 WORKERS=1); Ctrl-C stops it
	@exec $(python) main.py local $(if $(PORT),--port '$(PORT)') \
		$(if $(filter command,$(origin HOST)),--host '$(HOST)') $(if $(WORKERS),--workers '$(WORKERS)')

env: ## Write .env with random secrets, for settings of your own
	@sh scripts/make_env.sh

test: install-dev ## Run the tests (PYTEST_ARGS="-k aircraft", JOBS=2)
	@exec $(python) -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

check: install-dev ## Check style, types, import rules, migrations and the starter encyclopedia
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy
	@$(python) -c 'import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())'
	@sh scripts/lint_migrations.sh
	@$(python) -m deptry --no-ansi .
	@$(python) scripts/find_secrets.py
	@$(python) -m fastapi_application.starter.check

check-texts: install-dev ## Compare the starter encyclopedia's texts with its data and with each other
	@$(python) -m fastapi_application.starter.check

bench: install-dev ## Measure beside a raw ASGI application and the usual stack (BENCH_ARGS="--full")
	@exec $(python) -m benchmarks.run $(BENCH_ARGS)

format: install-dev ## Format the code and fix what can be fixed without thinking
	@$(python) -m ruff check --fix-only --quiet .
	@$(python) -m ruff format .

lint-migrations: install-dev ## Look for migrations that would lock or break a running database
	@sh scripts/lint_migrations.sh

audit: install-dev ## Ask for known vulnerabilities of the locked packages (needs a network; without one: NOT RUN, exit 75)
	@$(python) scripts/audit.py

sbom: install-dev ## Write sbom.json: what the application is made of (CycloneDX)
	@sh scripts/sbom.sh

secrets-history: install-dev ## Look for secrets in everything that was ever committed
	@$(python) scripts/find_secrets.py --history

pin-images: ## Pin the images of Dockerfile, composition and deploy/ by digest (needs docker or skopeo, and a registry)
	@sh scripts/pin_images.sh

bench-accounts: install-dev ## Measure what logins cost, and what their time gives away (TRIES=200 SECONDS=15)
	@exec $(python) -m benchmarks.login_timing

bench-search: install-dev ## Measure search and suggest on 100 000 entries
	@exec $(python) -m benchmarks.search

faults: install-dev ## Make faults on real servers and check what the service promises (FAULTS_ARGS="--full")
	@exec $(python) -m faults $(FAULTS_ARGS)

alerts: install-dev ## Make the fault of every alert under a real Prometheus, and ask its dashboard (without Prometheus: NOT RUN, exit 75)
	@exec $(python) -m faults.alerts $(ALERTS_ARGS)

scale: install-dev ## Check the service behind nginx and PgBouncer, as two processes (SCALE_ARGS="--rounds 50"; without these programs: NOT RUN, exit 75)
	@exec $(python) -m scale $(SCALE_ARGS)

clean: ## Remove caches and reports
	@find . -path ./.venv -prune -o -path ./.venv-poetry -prune -o -path ./.local -prune -o \
		-type d -name __pycache__ -exec rm -rf {} +
	@rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov

distclean: clean ## Also remove the virtualenvs and the local servers with ALL THEIR DATA
	@sh scripts/distclean.sh

install:
	@sh scripts/bootstrap.sh local

install-dev:
	@sh scripts/bootstrap.sh dev

# Two commands do everything on a machine with Python 3.11 or later: `make run` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHARED ?= ../shared
OUT := build

.PHONY: help run drill test test-long lint format docs fuzz example-city example-norway example-perth example-acn bench-audit bench-signatures bench-detection bench-evidence clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@# Another implementation's OCPI models, for a test: it asks for releases of pydantic and fastapi that are too old.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps extrawest_ocpi==2025.7.16
	@touch $@

# The pages are built again where one of their sources is newer; Node comes from PyPI, its packages by web/package-lock.json.
WEB := src/anxin/static/.built
WEB_SOURCES := $(shell find web -name node_modules -prune -o -type f -not -name '*.d.ts' -print) hatch_build.py

$(WEB): $(VENV)/.installed $(WEB_SOURCES)
	$(BIN)/python hatch_build.py
	@touch $@

.PHONY: web client
web: $(WEB)  ## the web pages, built into src/anxin/static

.PHONY: screenshots
screenshots: $(VENV)/.installed $(WEB)  ## a picture of every web page, under build/screenshots
	$(BIN)/python -m tests.e2e.screenshots

client: $(VENV)/.installed  ## the OpenAPI documents that the pages' types are made of, written anew from the code
	$(BIN)/python -m tests.platform.openapi

run: $(VENV)/.installed $(WEB)  ## the platform on this machine, with a virtual city that speaks to it; Ctrl-C stops it
	@$(BIN)/anxin run --data $(OUT)/run

drill: $(VENV)/.installed  ## backup of the platform of `make run`, restored elsewhere, audited and compared
	$(BIN)/anxin drill --data $(OUT)/run

test: $(VENV)/.installed $(WEB) lint  ## everything that CI checks
	SHARED=$(SHARED) $(BIN)/python -m pytest -m "not long" -n 2 --dist loadgroup

test-long: $(VENV)/.installed $(WEB)  ## tests that take minutes
	SHARED=$(SHARED) $(BIN)/python -m pytest -m long --timeout 0

lint: $(VENV)/.installed  ## ruff, mypy, import contract, types of the web pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python hatch_build.py --check

format: $(VENV)/.installed  ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed  ## write docs/rules.md, docs/policy.md, docs/procedures.md, docs/alarms.md and docs/authorisation.md anew from the code
	$(BIN)/anxin rules --markdown > docs/rules.md
	$(BIN)/anxin policy --markdown > docs/policy.md
	$(BIN)/anxin alarms --markdown > docs/alarms.md
	$(BIN)/anxin procedures --markdown > docs/procedures.md
	$(BIN)/python -m tests.platform.authorisation > docs/authorisation.md

example-city: $(VENV)/.installed  ## a city of one district and one month as files, audited: summary here, report page under build/example-city
	@rm -rf $(OUT)/example-city
	$(BIN)/anxin city make --districts 余杭区 --out $(OUT)/example-city/city
	@$(BIN)/anxin audit --orders $(OUT)/example-city/city/orders/* $(OUT)/example-city/city/checks/* --records $(OUT)/example-city/city/records/* \
	  --register $(OUT)/example-city/city/register.json --keys $(OUT)/example-city/city/keys.json --truth $(OUT)/example-city/city/truth.jsonl \
	  --out $(OUT)/example-city/audit || test $$? -eq 1

example-norway: $(VENV)/.installed  ## two public ledgers of one garage: 6,706 sessions in both, 172 in one
	@$(BIN)/anxin audit --orders $(SHARED)/data/norway_trondheim_2021/dataset1_ev_charging_reports.csv \
	  --records $(SHARED)/data/norway_12_sites_2024/dataset1_charging_reports.csv \
	  --mapping examples/norway/mapping-orders.toml examples/norway/mapping-records.toml \
	  --policy examples/norway/policy.toml --as-of 2021-12-31T00:00:00+00:00 --zone Europe/Oslo \
	  --out $(OUT)/examples/norway || test $$? -eq 1

example-perth: $(VENV)/.installed  ## a public ledger with exchanged dates: reported first, then audited as repaired
	@echo "== as written =="
	@$(BIN)/anxin audit --orders $(SHARED)/data/perth_kinross/perth_*.csv --mapping examples/perth/mapping-as-written.toml \
	  --as-of 2019-12-31T00:00:00+00:00 --zone Europe/London --out $(OUT)/examples/perth/as-written || test $$? -eq 1
	@echo "== repaired =="
	@$(BIN)/anxin audit --orders $(SHARED)/data/perth_kinross/perth_*.csv --mapping examples/perth/mapping-repaired.toml \
	  --as-of 2019-12-31T00:00:00+00:00 --zone Europe/London --out $(OUT)/examples/perth || test $$? -eq 1

example-acn: $(VENV)/.installed  ## ACN-Data imports whole; deliveries above what was requested are counted
	@$(BIN)/anxin audit --orders $(SHARED)/data/acn_data/*.csv.gz --mapping examples/acn/mapping-orders.toml \
	  --as-of 2021-12-31T00:00:00+00:00 --zone America/Los_Angeles --out $(OUT)/examples/acn || test $$? -eq 1

FUZZ_SECONDS ?= 60
FUZZERS := ocmf safe_xml tcec102 ocpi ocpi_objects tables meter_envelope ocpp

$(VENV)/.fuzz: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz  ## each decoder by coverage-guided fuzzing, FUZZ_SECONDS each
	@for name in $(FUZZERS); do echo "== $$name"; 	  $(BIN)/python -m tests.fuzz.fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 2>&1 | tail -2 || exit 1; done

$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

bench-audit: $(VENV)/.bench  ## the audit against a bare join and pandas, 10^4 to 14,419,000 sessions (half an hour)
	$(BIN)/python -m bench.audit

bench-signatures: $(VENV)/.bench  ## signatures against openssl; a million records from a file
	$(BIN)/python -m bench.signatures

bench-detection: $(VENV)/.bench  ## recall and false alarms on a million sessions that really sign
	$(BIN)/python -m bench.detection

.PHONY: bench-mqtt
bench-mqtt: $(VENV)/.bench  ## meters over MQTT: records a second, publish to receipt
	$(BIN)/python -m bench.mqtt

.PHONY: bench-platform
bench-platform: $(VENV)/.installed  ## the running platform under load with 14.4 million records stored (an hour, 50 GB of disk)
	$(BIN)/python -m bench.platform

.PHONY: bench-alarms
bench-alarms: $(VENV)/.bench  ## how long the list of alarms is: a million sessions, every kind of cheat
	$(BIN)/python -m bench.alarms

bench-evidence: $(VENV)/.installed  ## from receipt to proof at 2,000 messages a second; the log audited
	$(BIN)/python -m bench.evidence

.PHONY: bench-occupancy
bench-occupancy: $(VENV)/.installed  ## what 14,000 chargers are doing: pictures, heat maps, words a second, bytes a year
	$(BIN)/python -m bench.occupancy

.PHONY: bench-surveillance
bench-surveillance: $(VENV)/.installed  ## false alerts and detection of what only many sessions show, on cities (minutes)
	$(BIN)/python -m bench.surveillance

.PHONY: bench-finder
bench-finder: $(VENV)/.bench  ## the nearest 20 of a million connectors, beside numpy and scipy
	$(BIN)/python -m bench.finder

KILLS ?= 1000

.PHONY: kills
kills: $(VENV)/.installed  ## planted faults that must be found, then KILLS kills (-9) of the platform under load
	$(BIN)/python -m tests.fault.kills --kills 12 --plant all
	$(BIN)/python -m tests.fault.kills --kills $(KILLS)

clean:  ## remove what was built
	rm -rf $(OUT) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

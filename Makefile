# make demo    environment, synthetic data, training, test, rendering (minutes on two cores)
# make test    environment, lint, tests
# Both take PYTHON=/path/to/python to use an environment that already has the packages of requirements.txt.

SHELL := /bin/bash
DEMO ?= demo
DEMO_TRAINING ?= --epochs 4 --val-every 2 --workers 1 --fa-budget 1.75e-5 --false-budget 1

ifdef PYTHON
RUN := $(PYTHON)
ENVIRONMENT :=
else
RUN := .venv/bin/python
ENVIRONMENT := .venv/ready
endif

.PHONY: help env demo test lint clean

help:
	@grep '^# ' Makefile | sed 's/^# //'

env: $(ENVIRONMENT)

.venv/ready: requirements.txt requirements-dev.txt
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install -r requirements.txt -r requirements-dev.txt
	touch .venv/ready

demo: $(ENVIRONMENT)
	$(RUN) -m utils.synthetic --out $(DEMO)/data
	$(RUN) -m utils.synthetic --out $(DEMO)/data-seed2001 --split test --seed 2001
	$(RUN) train_NUDT.py --data-root $(DEMO)/data --out $(DEMO)/runs --name tsmsa $(DEMO_TRAINING)
	$(RUN) test.py --weights $(DEMO)/runs/tsmsa/best.pt --data-root $(DEMO)/data-seed2001 --out $(DEMO)/test-seed2001
	$(RUN) test.py --weights $(DEMO)/runs/tsmsa/best.pt --data-root $(DEMO)/data --out $(DEMO)/test
	$(RUN) vid_predict.py --weights $(DEMO)/runs/tsmsa/best.pt --source $(DEMO)/data/images/sequence172 \
		--truth $(DEMO)/data --out $(DEMO)/video --gif --heatmap
	$(RUN) -m utils.summary $(DEMO)

test: $(ENVIRONMENT) lint
	$(RUN) -m pytest

lint: $(ENVIRONMENT)
	@if $(RUN) -m ruff --version >/dev/null 2>&1; then $(RUN) -m ruff check . && $(RUN) -m ruff format --check .; \
	else echo "lint left out: ruff is not in this environment (pip install ruff)"; fi

clean:
	rm -rf .venv $(DEMO) .pytest_cache .ruff_cache

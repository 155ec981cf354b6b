# make demo    environment, synthetic data, training, test, rendering (minutes on two cores)
# make demo-satellite    the same for satellite video: boxes of cars
# make gpu     on a GPU, within nine minutes: its tests, frames a second, a training in mixed precision; called again it goes on.
#              OUT=gpu is where to; DEVICE=cpu QUICK=1 rehearses it without one
# make test    environment, lint, tests
# make test-oldest    an environment with the oldest versions that requirements.txt allows, and the tests that other packages matter to
# The last two run tests in TEST_PROCESSES (2) processes at once, where pytest-xdist is there.
# All but test-oldest take PYTHON=/path/to/python to use an environment that already has the packages of requirements.txt.

SHELL := /bin/bash
DEMO ?= demo
DEMO_TRAINING ?= --epochs 4 --val-every 2 --workers 1 --fa-budget 1.75e-5 --false-budget 1

DEMO_SATELLITE ?= demo-satellite
SATELLITE_TRAINING ?= --model dsfnet --width 0.25 --frame-step 3 --input-size 96 --lr 6e-3 --epochs 5 --val-every 5 --val-fraction 0.05 --workers 1

DEVICE ?= cuda
OUT ?= gpu

TEST_PROCESSES ?= 2
## options of pytest, for the Python $(1)
AT_ONCE = $$($(1) -c 'import xdist' 2>/dev/null && printf -- '-n %s --dist worksteal' $(TEST_PROCESSES))

## what tests compare figures of tracks with; its dependencies would put another OpenCV over the headless one
TRACK_ORACLE := "trackeval>=1.3" tabulate

OLDEST := .venv-oldest/bin/python
OLDEST_TESTS := tests/images tests/video tests/clips tests/nets tests/predictor tests/metrics tests/render tests/commands/test_export.py \
	tests/commands/test_export_files.py tests/system/test_processes.py
## the oldest Python that is here: a name may be there without a Python behind it
OLDEST_PYTHON ?= $(shell for name in python3.10 python3; do $$name -c '' 2>/dev/null && echo $$name && break; done)

ifdef PYTHON
RUN := $(PYTHON)
ENVIRONMENT :=
else
RUN := .venv/bin/python
ENVIRONMENT := .venv/ready
endif

.PHONY: help env demo demo-satellite gpu test test-oldest lint clean

help:
	@grep '^# ' Makefile | sed 's/^# //'

env: $(ENVIRONMENT)

.venv/ready: requirements.txt requirements-dev.txt
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install -r requirements.txt -r requirements-dev.txt
	.venv/bin/python -m pip install --quiet --no-deps $(TRACK_ORACLE)
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

demo-satellite: $(ENVIRONMENT)
	$(RUN) -m utils.synthetic --kind satellite --train-sequences 24 --out $(DEMO_SATELLITE)/data
	$(RUN) train_RsCarData.py --data-root $(DEMO_SATELLITE)/data --out $(DEMO_SATELLITE)/runs --name dsfnet $(SATELLITE_TRAINING)
	$(RUN) vid_map_coco.py --weights $(DEMO_SATELLITE)/runs/dsfnet/best.pt --data-root $(DEMO_SATELLITE)/data --out $(DEMO_SATELLITE)/test
	$(RUN) vid_predict.py --weights $(DEMO_SATELLITE)/runs/dsfnet/best.pt --source $(DEMO_SATELLITE)/data/images/test/025/img \
		--truth $(DEMO_SATELLITE)/data --out $(DEMO_SATELLITE)/video --gif
	$(RUN) -m utils.summary $(DEMO_SATELLITE)

gpu: $(ENVIRONMENT)
	$(RUN) -m benchmarks.gpu --device $(DEVICE) --out $(OUT) $(if $(QUICK),--quick)

test: $(ENVIRONMENT) lint
	$(RUN) -m pytest $(call AT_ONCE,$(RUN))

.venv-oldest/ready: requirements.txt requirements-dev.txt
	$(OLDEST_PYTHON) -m venv .venv-oldest
	$(OLDEST) -m pip install --quiet uv
	$(OLDEST) -m uv pip install --quiet --python $(OLDEST) --resolution lowest-direct -r requirements.txt -r requirements-dev.txt
	$(OLDEST) -m uv pip install --quiet --python $(OLDEST) --no-deps $(TRACK_ORACLE)
	touch .venv-oldest/ready

test-oldest: .venv-oldest/ready
	$(OLDEST) -m pytest $(call AT_ONCE,$(OLDEST)) $(OLDEST_TESTS)

lint: $(ENVIRONMENT)
	@if $(RUN) -m ruff --version >/dev/null 2>&1; then $(RUN) -m ruff check . && $(RUN) -m ruff format --check .; \
	else echo "lint left out: ruff is not in this environment (pip install ruff)"; fi

clean:
	rm -rf .venv .venv-oldest $(DEMO) $(DEMO_SATELLITE) gpu .pytest_cache .ruff_cache

# Two commands make the book: `make book` and `make test`. Everything else is a convenience.
# Nothing here needs activating: all tools run from .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
WORKERS ?= 2
# A notebook cell checks itself within this many seconds.
CELL_SECONDS ?= 600
# What nbval executes: every notebook. CI names some of them, see .ci/run.
NOTEBOOKS ?= book

# Real data that lies beside the checkout is used where nothing else is said.
ifndef LITREPRO_DATA
ifneq ($(wildcard ../shared/data/README.md),)
export LITREPRO_DATA := $(abspath ../shared/data)
endif
endif
export OMP_NUM_THREADS ?= 1

.PHONY: book pdf test test-slow run check build lint unit pages smoke nbval compare lab data bench clean help

help:            ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[book,build,test]'
	touch $@

install: $(STAMP) data  ## create .venv with everything pinned

# The sibling's CIFAR-10 is packed; the loaders read the official binary layout, so it is unpacked once into the cache.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/litrepro
data: $(STAMP)   ## unpack the data that needs unpacking, once
	@if [ -f "$$LITREPRO_DATA/unpack.py" ] && [ ! -f "$(CACHE)/cifar-10/cifar-10-batches-bin/batches.meta.txt" ]; then \
	  $(BIN)/python "$$LITREPRO_DATA/unpack.py" "$(CACHE)/cifar-10"; fi

book: install    ## execute what is stale and render the site to book/_build/html
	$(BIN)/litrepro run --workers $(WORKERS)
	$(BIN)/litrepro build

pdf: book        ## print the book to book/_build/litrepro.pdf (needs Chromium)
	$(BIN)/litrepro pdf

test: install lint unit pages nbval  ## lint, unit tests, the rendered pages in a browser, nbval over every notebook

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/litrepro check

unit: $(STAMP)
	$(BIN)/python -m pytest tests --ignore=tests/site -m "not slow" -n $(WORKERS) --dist worksteal

pages: $(STAMP)  ## the rendered book in Chromium: every page, on a phone, in the dark
	$(BIN)/python -m pytest tests/site -n $(WORKERS) --dist worksteal

test-slow: $(STAMP)  ## what the unit suite leaves out: a dask cluster that loses a worker, long runs
	$(BIN)/python -m pytest tests -m slow

smoke: $(STAMP)  ## the full profile of every notebook, the same code with a thousandth of the work
	$(BIN)/litrepro record --smoke

nbval: $(STAMP)  ## every notebook (or NOTEBOOKS=...) again, outputs of the tagged cells compared
	LITREPRO_BUILD=1 $(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout $(CELL_SECONDS) \
	  -n $(WORKERS) --dist loadfile -p no:cacheprovider $(NOTEBOOKS) --ignore=book/_build

compare: $(STAMP)  ## execute every notebook with papermill and compare with the committed copies
	$(BIN)/litrepro run --compare --workers $(WORKERS)

bench: $(STAMP)  ## side-by-side timings (quick sizes)
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script --quick || exit 1; done

lab: install     ## open the book in JupyterLab
	$(BIN)/jupyter lab --notebook-dir book

clean:           ## remove what was built (not .venv)
	rm -rf book/_build book/_generated

# Each target sets up all it needs: a fresh machine with Python >= 3.11 is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.installed

.PHONY: demo test soak lint format bench-curate bench-catalog bench-stream bench-train bench-shuffle clean

# install once, and again whenever the dependencies change
$(SETUP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "deepshard needs Python 3.11 or newer; try make PYTHON=python3.12 $(MAKECMDGOALS)")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(SETUP)

demo: $(SETUP)  ## make a small synthetic dataset and walk the whole road on it
	$(BIN)/deepshard demo

test: lint  ## lint, then the whole suite, a process for each CPU
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

soak: $(SETUP)  ## the tests that have a long form, whole: kills, mutants, flipped bits, nodes that are lost; prints its counts
	DEEPSHARD_SOAK=1 $(BIN)/python -m pytest -m soak -s -v

lint: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(SETUP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

CLIPS ?= ../shared/clips

bench-curate: $(SETUP)  ## what curation costs beside the field's usual way and decoding alone, on the videos in CLIPS
	$(BIN)/python benchmarks/curate.py --clips $(CLIPS)

bench-catalog: $(SETUP)  ## ten million faces: taking them in, every shipped split, its lints; beside pandas
	$(BIN)/python benchmarks/catalog.py

bench-stream: $(SETUP)  ## how fast splits stream, beside the decoder alone and what people use today, on faces of the videos in CLIPS
	$(BIN)/python benchmarks/stream.py --clips $(CLIPS)
	$(BIN)/python benchmarks/stream_scale.py

bench-train: $(SETUP)  ## what share of training waits for data, on a GPU for each number of workers
	$(BIN)/python benchmarks/training.py --clips $(CLIPS)

bench-shuffle: $(SETUP)  ## batches beside those of a full shuffle, and what an order costs to begin and to hold
	$(BIN)/python benchmarks/shuffle.py

clean:  ## removes what the targets above made, never a catalog or a store of yours
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .hypothesis build *.egg-info

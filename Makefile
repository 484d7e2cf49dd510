# Two commands, each a thin wrapper over scripts/dev.py, which needs only python3 with venv.
# On Windows, or without make:  python scripts/dev.py run   and   python scripts/dev.py test
PYTHON ?= python3

.PHONY: help run test oracle nightly clean

help:
	@$(PYTHON) scripts/dev.py --help

run:
	@$(PYTHON) scripts/dev.py run $(ARGS)

test:
	@$(PYTHON) scripts/dev.py test $(ARGS)

oracle:
	@$(PYTHON) scripts/dev.py oracle $(ARGS)

nightly:
	@$(PYTHON) scripts/dev.py nightly $(ARGS)

clean:
	@$(PYTHON) scripts/dev.py clean

# Each target does all of its own set-up in a private .venv; nothing is installed on the host.
.PHONY: demo test check bench conformance fuzz crash kernels clean
PYTHON ?= /usr/bin/python3

# The host's own Node is used where it is new enough; otherwise one comes with the extra `node`.
AT_LEAST = awk -F. -v major=$(1) -v minor=$(2) '{ fits = $$1 > major || ($$1 == major && $$2 >= minor) } END { exit !fits }'
NODE_FITS = node --version 2>/dev/null | tr -d v | $(call AT_LEAST,20,17) \
	&& npm --version 2>/dev/null | $(call AT_LEAST,11,17)

demo: .venv/ready
	.venv/bin/python examples/demo.py

# Whole projects wait for their own tools half of the time, so two at once; barriers and timing, alone.
test: check
	.venv/bin/python -m pytest -q -n 2 --dist loadfile tests/conformance
	.venv/bin/python -m pytest -q --ignore=tests/conformance

check: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Peers that the host has are measured; the one that is a Node program comes into build/.
bench: .venv/ready
	@test -e build/peers/node_modules/.bin/srt || ! command -v npm >/dev/null || npm install --silent \
		--no-audit --no-fund --prefix build/peers @anthropic-ai/sandbox-runtime@0.0.83 || true
	.venv/bin/python -m benchmarks

# Every template and every verb, cold, warm and offline, beside the bare tool; TEMPLATES="a b" for some,
# TURNS=N for medians of N turns.
TURNS ?= 1
conformance: .venv/ready
	TURNS=$(TURNS) .venv/bin/python -m benchmarks.conformance $(TEMPLATES)

# FUZZ=SECONDS for each target, and twice that for system calls as root; what was found stays in build/fuzz.
FUZZ ?= 30
fuzz: .venv/ready
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[fuzz]"
	.venv/bin/python -m tests.fuzz $(FUZZ)

# That a transaction cannot tear, at length: killed, refused, out of room and out of power, on each file
# system this machine can mount (tmpfs, ext4, btrfs, xfs: as root); SEEDS=N for what is random. A table.
SEEDS ?= 3
crash: .venv/ready
	.venv/bin/python -m tests.crash.proof --seeds $(SEEDS)

# The sandbox tests inside other kernels than this machine's, under qemu: control groups of version 2
# and 1, an ordinary user with and without groups of his own, older Landlock. Wants Debian's packages
# qemu-system-x86 and e2fsprogs, and lists that apt-get update has read; the kernels come as packages through apt and are unpacked below
# build/kernels, not installed. Where the processor must be emulated, a kernel takes a quarter of an hour.
KERNELS ?= linux-image-cloud-amd64
kernels: .venv/ready
	.venv/bin/python -m tests.kernels.image $(KERNELS)
	CLOCHE_TEST_KERNELS=1 .venv/bin/python -m pytest -q tests/kernels

clean:
	rm -rf .venv build

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	@extras=dev; if ! ( $(NODE_FITS) ); then extras=dev,node; fi; \
	echo "setting up .venv with the extras $$extras"; \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$$extras]"
	@touch $@

# Both targets do their own set-up on a bare Debian 12 with Rust.
.PHONY: run test build fuzz

run:
	@scripts/run

test:
	scripts/setup-tests
	command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace
	cargo deny check licenses bans sources

build:
	@scripts/setup-build
	cargo build --release --locked -p quell

# make fuzz SECS=20 TARGET=session: so many seconds for each target, or for one; see fuzz/README.md.
# `-s none`: the address sanitizer needs the nightly toolchain, and the code is safe Rust.
SECS ?= 60
TARGET ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
fuzz:
	command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
	for target in $(TARGET); do \
		mkdir -p fuzz/corpus/$$target && \
		cargo fuzz run -s none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(SECS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 || exit 1; \
	done

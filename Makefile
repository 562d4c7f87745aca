# run, demo and test do their own set-up on a bare Debian 12 with Rust.
.PHONY: run demo test test-acme build fuzz bench bench-parts recent-memory trace-worlds offices proof near

run:
	@scripts/run

# make demo ARGS='--shape trace --copies 100000': a storm on this machine, without quell and with it.
ARGS ?=
demo: build
	@"$${CARGO_TARGET_DIR:-target}/release/quell" demo $(ARGS)

test:
	scripts/setup-tests
	command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace
	cargo deny check licenses bans sources

# A certificate by ACME, which is behind a feature, so that `make test` builds without it: some minutes
# after `make test`, most of them the compiler's, and half a minute for the tests.
test-acme:
	scripts/setup-tests
	cargo clippy --locked -p quell --features acme --all-targets -- -D warnings
	cargo test --locked -p quell --features acme --lib -- acme
	cargo test --locked -p quell --features acme --test acme

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

# make bench-parts PART=judge: what the parts that decide cost in CPU time, or those whose names have
# that in them; times are of one thread, and a machine that does nothing else gives the steadiest.
PART ?=
bench-parts:
	cargo bench -p quell-mail -p quell-storm -p quell-queue -p quell-wire -p quell-relay \
		--bench reading --bench judge --bench recent --bench trace --bench door --bench sessions --bench relaying -- $(PART)

# make recent-memory MESSAGES=10000000: what the tables of the classes of suspicion need for a day of so many
# messages, no two alike, and at worst; fails above 256 MiB.
MESSAGES ?= 10000000
recent-memory:
	@MESSAGES=$(MESSAGES) cargo bench -q --locked -p quell-storm --bench recent_memory

# make trace-worlds WORLDS=1000 FIRST=1000000 KIND=retry: the trace on worlds whose truth is known, as the
# table in docs/trace-worlds.md; fails if a kind is below 99 % or somebody innocent is named.
WORLDS ?= 1000
FIRST ?= 1000000
KIND ?=
trace-worlds:
	@WORLDS=$(WORLDS) FIRST=$(FIRST) KIND=$(KIND) cargo bench -q --locked -p quell-sim --bench traces

# make offices OFFICES=100 FIRST=1000000 DAYS=28 PEOPLE=50 STORM=flood: the judge on simulated offices whose
# mail is known, as the tables in docs/offices.md; fails if more than 1 in 100,000 real messages is held, or a
# storm is missed. PEOPLE: all of one size; STORM: one kind only.
OFFICES ?= 100
DAYS ?= 28
PEOPLE ?=
STORM ?=
offices:
	@OFFICES=$(OFFICES) FIRST=$(FIRST) DAYS=$(DAYS) PEOPLE=$(PEOPLE) STORM="$(STORM)" \
		cargo bench -q --locked -p quell-sim --bench offices

# make proof MAIL=FOLDER: what quell would have done with the real mail in FOLDER, as the table in
# docs/replay.md; fails if a message is held or refused that is no known storm.
# (A login often sets MAIL to a file: then the usual folder counts.)
ifneq ($(origin MAIL),command line)
MAIL := $(or $(patsubst %/.,%,$(wildcard $(MAIL:%=%/.))),$(wildcard ../shared/data))
endif
proof:
	@[ -n "$(MAIL)" ] && [ -e "$(MAIL)" ] || { \
		echo "proof: FAILED: there is no mail at '$(or $(MAIL),../shared/data)': make proof MAIL=FOLDER" >&2; \
		exit 1; }
	@$(MAKE) -s build
	@MAIL="$(abspath $(MAIL))" MAIL_SAID="$(MAIL)" QUELL="$(abspath $(bench_target))/release/quell" \
		cargo bench -q --locked -p quell --bench proof

# make near MAIL=FOLDER: how well changed copies of the mail in FOLDER are told from other messages, as the
# tables in docs/near-copies.md; fails if a message that only looks alike is taken for a copy.
near:
	@[ -n "$(MAIL)" ] && [ -e "$(MAIL)" ] || { \
		echo "near: FAILED: there is no mail at '$(or $(MAIL),../shared/data)': make near MAIL=FOLDER" >&2; \
		exit 1; }
	@MAIL="$(abspath $(MAIL))" MAIL_SAID="$(MAIL)" cargo bench -q --locked -p quell-mail --bench near

# make bench ONLY=relay,storm ROUNDS=1 QUICK=1: the measurements named, once, with a tenth of the
# messages. A run of all with all messages writes BENCHMARKS.md, WRITE=1 does so in any case; what stands there
# between the marks `by hand` stays. The
# server is built as it is shipped: built along with the benches it would carry what the tests want of
# its dependencies.
bench_target = $(or $(CARGO_TARGET_DIR),target)
bench:
	scripts/setup-tests bench
	cargo build --release --locked -p quell
	cp $(bench_target)/release/quell $(bench_target)/quell-bench
	QUELL=$(abspath $(bench_target))/quell-bench cargo bench --locked -p quell --bench mail

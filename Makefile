# Both targets do their own set-up on a bare Debian 12 with Rust.
.PHONY: run test build

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

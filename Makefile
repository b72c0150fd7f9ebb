# Packetboat. `make run` tries it, `make test` runs every test; both work in an empty clone on a fresh Debian 12.
.PHONY: run build program test unit lint clients browser browser-soak crash drain power lab simulate stress sync-soak sessions large soak fuzz bench bench-list bench-mime bench-moving bench-roundcube instructions deny packages

TARGET := $(or $(CARGO_TARGET_DIR),target)

run: program    ## build the release binary and open two post offices on this machine
	cargo build --release --locked -p packetboat
	$(TARGET)/release/packetboat try

build: program  ## the release binary alone
	cargo build --release --locked -p packetboat

# The browser program: built only when its sources are newer than what was built. Its files go into the binary.
SOURCES := $(shell find web-program -path web-program/node_modules -prune -o -path web-program/dist -prune -o -type f -print)

program: web-program/dist/worker.js.br

web-program/node_modules/.package-lock.json: web-program/package-lock.json
	cd web-program && npm ci --no-audit --no-fund --loglevel=error

web-program/dist/worker.js.br: web-program/node_modules/.package-lock.json $(SOURCES)
	cd web-program && npm run --silent build

packages:       ## Debian packages that the tests use
	tests/packages.sh

test: packages  ## every test: lints, unit, transcripts, tidy, corpus replay, real clients, crash slice
	tests/all.sh

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit:
	tests/unit.sh

clients:        ## real clients and neighbours against the real binary
	cargo build --locked -p packetboat
	python3 tests/clients/run.py

browser: program ## the browser program in Chromium (ONLY=part of a test's name)
	cargo build --locked -p packetboat
	tests/browser/run.sh $(ONLY)

browser-soak: program ## two windows of it used at random, held against IMAP (ROUNDS=n SEED=n)
	cargo build --locked -p packetboat
	cd tests/browser && ROUNDS=$(or $(ROUNDS),40) SEED=$(or $(SEED),1) node --test --test-reporter=spec ./random.test.mjs

crash:          ## kill -9 under load, again and again (ROUNDS=n SEED=n)
	cargo build --locked -p packetboat
	python3 tests/crash/crash.py --rounds $(or $(ROUNDS),100) --seed $(or $(SEED),1)

drain:          ## a long queue for many destinations, a tenth of them dead, through kills (MESSAGES=n KILLS=n SEED=n)
	cargo build --release --locked -p packetboat
	PACKETBOAT=$(abspath $(TARGET))/release/packetboat python3 tests/lab/drain.py --compare \
		--messages $(or $(MESSAGES),100000) --kills $(or $(KILLS),20) --seed $(or $(SEED),1)

power:          ## power cut, failing calls, full disk (WHAT=cut|teeth|fail|full|all SEED=n IMAGES=n)
	cargo build --locked -p packetboat
	cargo build --locked -p store --example power
	python3 tests/power/power.py $(or $(WHAT),all) --seed $(or $(SEED),1) --images $(or $(IMAGES),1000)

simulate:       ## whole servers in virtual time with seeded trouble (SEEDS=n FIRST=n); docs/simulation.md
	PACKETBOAT_SIM_SEEDS=$(or $(SEEDS),1000) PACKETBOAT_SIM_FIRST=$(or $(FIRST),1) \
		cargo test --release --locked -p simulation --test seeds seeds_keep_the_laws -- --nocapture

lab:            ## long: more mail programs and neighbours (tests/lab), every client test three times, a hundred crashes
	tests/packages.sh
	tests/lab/packages.sh
	cargo build --locked -p packetboat
	python3 tests/clients/run.py --lab
	python3 tests/mime/differential.py --count 20000
	for again in 1 2 3; do python3 tests/clients/run.py || exit 1; done
	python3 tests/crash/crash.py --rounds 100 --seed $(or $(SEED),1)
	$(MAKE) simulate SEEDS=10000

stress:         ## random IMAP sessions, each held against a model at every line (SECONDS=n SEED=n SESSIONS=n SLOW_SYNC_MS=n)
	cargo build --locked -p packetboat
	python3 tests/stress/stress.py --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1) --sessions $(or $(SESSIONS),12) --slow-sync-ms $(or $(SLOW_SYNC_MS),0)

sync-soak:      ## the email program's sync, random changes on both sides, with Dovecot, Cyrus, Courier and ourselves (SECONDS=n each, SEED=n)
	cargo build --locked -p packetboat
	SECONDS=$(or $(SECONDS),600) python3 tests/clients/run.py test_random_changes_on_both_sides
	SECONDS=$(or $(SECONDS),600) python3 tests/clients/run.py --lab test_random_changes_on_both_sides

sessions:       ## 10,000 idle TLS sessions, and how soon a flag change reaches 1,000 of them (COUNT=n PUSH=n)
	cargo build --release --locked -p packetboat
	python3 tests/stress/sessions.py --release --count $(or $(COUNT),10000) --push $(or $(PUSH),1000)

large:          ## a mailbox of a million messages: how it opens, cold and warm, and in how much memory (COUNT=n)
	cargo build --release --locked -p packetboat
	python3 tests/stress/large.py --release --count $(or $(COUNT),1000000)

soak:           ## hours: the crash test's thousand rounds, every call failing once, ten thousand power cuts, every octet flipped
	SEARCH_SEEDS=200 cargo test --release --locked -p search finds
	STORE_FLIP_STEP=1 cargo test --release --locked -p store flips
	STORE_FAIL_STEP=1 STORE_FAIL_FIRST=0 cargo test --release --locked -p store failing
	$(MAKE) crash ROUNDS=$(or $(ROUNDS),1000)
	$(MAKE) power IMAGES=10000
	$(MAKE) stress
	$(MAKE) sync-soak
	$(MAKE) browser-soak
	cargo build --release --locked -p packetboat
	$(MAKE) sessions
	$(MAKE) large

bench:          ## beside Postfix + Dovecot, 10 to 15 minutes (ONLY=part,part QUICK=1 MEDIUM=disk); keeps docs/bench.md
	cargo build --release --locked -p packetboat
	PACKETBOAT=$(abspath $(TARGET))/release/packetboat python3 tests/bench/bench.py

bench-mime:     ## MB/s and allocations of the MIME reader, beside mail-parser and Python's email (MESSAGES=n SEED=n)
	tests/bench/mime/run.sh

bench-moving:   ## import from Dovecot by IMAP beside mbsync, by POP3 beside fetchmail, killed and resumed (COUNT=n POP_COUNT=n)
	cargo build --release --locked -p packetboat
	PACKETBOAT=$(abspath $(TARGET))/release/packetboat python3 tests/bench/moving.py --count $(or $(COUNT),200000) --pop-count $(or $(POP_COUNT),100000)

bench-roundcube: program ## the browser program beside Debian's Roundcube on the same mailbox, and its bounds of its own (MESSAGES=n)
	tests/packages.sh roundcube-core roundcube-sqlite3 dbconfig-no-thanks php-cli php-fpm php-sqlite3
	cargo build --release --locked -p packetboat
	PACKETBOAT=$(abspath $(TARGET))/release/packetboat node tests/bench/roundcube.mjs $(or $(MESSAGES),10000)

bench-list: program ## a list of 100,000 messages in the browser program: frames, leaps, heap (MESSAGES=n)
	cargo build --release --locked -p packetboat
	PACKETBOAT=$(abspath $(TARGET))/release/packetboat node tests/bench/long_list.mjs $(or $(MESSAGES),100000)

instructions:   ## counts the instructions of six hot operations anew and keeps the bounds
	python3 tests/bench/instructions.py keep --release

fuzz:           ## SECS=n seconds per target; KEEP=1 keeps what reaches new code
	tests/fuzz.sh $(or $(SECS),60)

deny:           ## licences and duplicate versions; needs cargo-deny
	cargo deny check bans licenses sources

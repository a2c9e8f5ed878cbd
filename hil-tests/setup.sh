#!/usr/bin/env bash
# Installs what a Debian machine with Rust still lacks for Pestle. Safe to repeat: it does nothing when all is there.
#
#   hil-tests/setup.sh demo    what `make demo` and `make demo-check` need: a C compiler, CMake, PostgreSQL's programs
#   hil-tests/setup.sh bench   that, and what `make bench` measures beside Pestle: Mosquitto, nats-server
#   hil-tests/setup.sh test    that, and what `make test` needs: Chromium with its driver, FUSE, rustfmt, clippy
#
# It needs root, or sudo. It starts no service, creates no PostgreSQL cluster, and changes nothing that is installed.
set -euo pipefail

wanted=${1:-test}
case $wanted in demo | bench | test) ;; *)
  echo "setup: unknown set '$wanted'. Use: setup.sh demo|bench|test" >&2
  exit 64
  ;;
esac

say() { echo "setup: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
have_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

if ! have cargo; then
  say "Rust is not installed (no 'cargo' in PATH). Install Rust 1.95 or later, then run this again."
  exit 69
fi

# What `make test` checks before it builds. They belong to the Rust that is there: another version's judge differently.
components=()
if [ "$wanted" = test ]; then
  cargo fmt --version >/dev/null 2>&1 || components+=(rustfmt)
  cargo clippy --version >/dev/null 2>&1 || components+=(clippy)
fi
if [ ${#components[@]} -gt 0 ]; then
  if ! have rustup; then
    say "Rust's ${components[*]} are missing, and there is no rustup to add them. Install them from where this Rust came from"
    say "(with rustup: rustup component add ${components[*]}), then run this again."
    exit 69
  fi
  say "adding Rust's ${components[*]} …"
  if ! rustup component add "${components[@]}" >&2; then
    say "rustup could not add ${components[*]}; its words are above. Run: rustup component add ${components[*]}"
    exit 69
  fi
fi

missing=()
have cc || missing+=(gcc libc6-dev)
have c++ || missing+=(g++)
have cmake || missing+=(cmake)
have_postgres || missing+=(postgresql)
if [ "$wanted" != demo ]; then
  { have mosquitto || [ -x /usr/sbin/mosquitto ]; } || missing+=(mosquitto)
  { have nats-server || [ -x /usr/sbin/nats-server ]; } || missing+=(nats-server)
fi
if [ "$wanted" = test ]; then
  have chromium || missing+=(chromium)
  have chromedriver || missing+=(chromium-driver)
  have fusermount3 || missing+=(fuse3)
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if ! have apt-get; then
  say "these are missing: ${missing[*]} (Debian's names), and this machine has no apt-get. Install them by hand."
  exit 69
fi
if [ "$(id -u)" -eq 0 ]; then
  root=()
elif have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
  root=(sudo)
else
  say "these Debian packages are missing: ${missing[*]}"
  say "installing them needs root. Run as root, or ask someone who is: apt-get install ${missing[*]}"
  exit 77
fi

# A program that we only call must not become a service that listens: Debian asks this file before it starts one.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
  "${root[@]}" chmod 755 "$policy"
fi
# The gateway keeps a cluster of its own: Debian's "main" would only take room.
if ! have_postgres; then
  "${root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' | "${root[@]}" tee /etc/postgresql-common/createcluster.d/pestle.conf >/dev/null
fi

log=$(mktemp)
install() {
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    -o Dpkg::Options::=--force-confold "${missing[@]}" </dev/null >"$log" 2>&1
}
say "installing ${missing[*]} …"
if ! install; then
  # The usual reason is an old package list: fetch it, then try once more.
  if ! "${root[@]}" apt-get update </dev/null >"$log" 2>&1 || ! install; then
    tail -n 20 "$log" >&2
    say "apt-get could not install ${missing[*]}; its words are above, and in $log."
    exit 69
  fi
fi
rm -f "$log"
say "done."

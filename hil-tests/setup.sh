#!/usr/bin/env bash
# Installs what a Debian machine with Rust still lacks for Pestle. Safe to repeat: it does nothing when all is there.
#
#   hil-tests/setup.sh demo    what `make demo` and `make demo-check` need: a C compiler, CMake, PostgreSQL's programs
#   hil-tests/setup.sh bench   that, and what `make bench` measures beside Pestle: Mosquitto, nats-server, python-escpos
#   hil-tests/setup.sh test    that, and what `make test` needs: Chromium with its driver, FUSE, fonts, rustfmt, clippy; and the
#                              programs of others that the drivers are tried against (drivers/tests/witness)
#   hil-tests/setup.sh image   what `make image`, `make image-run` and `make hil` need: mmdebstrap and tools for disks, cargo-deb, QEMU
#
# It needs root, or sudo. It starts no service, creates no PostgreSQL cluster, and changes nothing that is installed, but for
# QEMU's tools where they do not fit the QEMU that Debian has.
set -euo pipefail

wanted=${1:-test}
case $wanted in demo | bench | test | image) ;; *)
  echo "setup: unknown set '$wanted'. Use: setup.sh demo|bench|test|image" >&2
  exit 64
  ;;
esac

say() { echo "setup: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
has_font() { compgen -G "/usr/share/fonts/truetype/*/$1.ttf" >/dev/null; }
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

if [ "$wanted" = image ] && ! cargo deb --version >/dev/null 2>&1; then
  say "installing cargo-deb …"
  cargo install --locked cargo-deb >&2
fi

missing=()
have cc || missing+=(gcc libc6-dev)
have c++ || missing+=(g++)
have cmake || missing+=(cmake)
have_postgres || missing+=(postgresql)
if [ "$wanted" = bench ] || [ "$wanted" = test ]; then
  { have mosquitto || [ -x /usr/sbin/mosquitto ]; } || missing+=(mosquitto)
  { have nats-server || [ -x /usr/sbin/nats-server ]; } || missing+=(nats-server)
fi
if [ "$wanted" = test ]; then
  have chromium || missing+=(chromium)
  have chromedriver || missing+=(chromium-driver)
  have fusermount3 || missing+=(fuse3)
  [ -x /usr/sbin/mkfs.ext4 ] || missing+=(e2fsprogs)
  # The keyboard layouts of others.
  have xkbcli || missing+=(libxkbcommon-tools)
  # Modbus; a serial port behind a network, and a network of the test's own.
  have mbpoll || missing+=(mbpoll)
  { have ser2net || [ -x /usr/sbin/ser2net ]; } || missing+=(ser2net)
  [ -e /usr/lib/python3/dist-packages/serial/rfc2217.py ] || missing+=(python3-serial)
  { have ip || [ -x /usr/sbin/ip ]; } || missing+=(iproute2)
  # An office printer, and the bus that it wants to find.
  { have ippeveprinter || [ -x /usr/sbin/ippeveprinter ]; } || missing+=(cups-ipp-utils)
  have dbus-daemon || missing+=(dbus-daemon)
  # Letters of the scripts that papers are tested with: Latin to Arabic, Chinese and Japanese, Devanagari, Thai.
  has_font DejaVuSansMono || missing+=(fonts-dejavu-core)
  has_font DroidSansFallbackFull || missing+=(fonts-droid-fallback)
  has_font Lohit-Devanagari || missing+=(fonts-lohit-deva)
  has_font Loma || missing+=(fonts-tlwg-loma-ttf)
  # What the witnesses run on.
  have node || missing+=(nodejs)
  have npm || missing+=(npm)
fi
if [ "$wanted" = bench ] || [ "$wanted" = test ]; then
  python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3 python3-venv)
fi
if [ "$wanted" = image ]; then
  have mmdebstrap || missing+=(mmdebstrap)
  have mkfs.erofs || missing+=(erofs-utils)
  have mcopy || missing+=(mtools)
  have zstd || missing+=(zstd)
  have objcopy || missing+=(binutils)
  [ -x /usr/sbin/mkfs.vfat ] || missing+=(dosfstools)
  [ -x /usr/sbin/mkfs.ext4 ] || missing+=(e2fsprogs)
  [ -x /usr/sbin/sfdisk ] || missing+=(fdisk)
  # Both from one release: they share files.
  { have qemu-system-x86_64 && have qemu-img; } || missing+=(qemu-system-x86 qemu-utils)
  [ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || missing+=(ovmf)
fi

# Other people's programs that the tests and the figures ask, in the versions that drivers/tests/witness/*/ pins; below the
# target folder, so that they go with it. Each kind is installed once for each state of its pins, of which it keeps a copy.
# The figures need the printers' in Python alone.
witnesses() {
  local here target pins into
  here=$(cd "$(dirname "$0")/.." && pwd)
  target=${CARGO_TARGET_DIR:-$here/target}
  case $wanted in
    bench) python_witnesses "$here/drivers/tests/witness/printers/" "$target/witness/printers" ;;
    test)
      for pins in "$here"/drivers/tests/witness/*/; do
        into=$target/witness/$(basename "$pins")
        [ ! -e "$pins"requirements.txt ] || python_witnesses "$pins" "$into"
        [ ! -e "$pins"package-lock.json ] || node_witnesses "$pins" "$into"
      done
      ;;
  esac
}
python_witnesses() {
  cmp -s "$1"requirements.txt "$2/venv/requirements.txt" && return 0
  say "installing witnesses in Python for $(basename "$2") …"
  rm -rf "$2/venv"
  mkdir -p "$2"
  python3 -m venv "$2/venv"
  "$2/venv/bin/pip" install --quiet --disable-pip-version-check -r "$1"requirements.txt >&2
  cp "$1"requirements.txt "$2/venv"
}
node_witnesses() {
  cmp -s "$1"package-lock.json "$2/node_modules/package-lock.json" && return 0
  say "installing witnesses in JavaScript for $(basename "$2") …"
  rm -rf "$2/node_modules"
  mkdir -p "$2"
  cp "$1"package.json "$1"package-lock.json "$2"
  # Optional parts would want a compiler and USB.
  (cd "$2" && npm ci --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  cp "$1"package-lock.json "$2/node_modules"
}

if [ ${#missing[@]} -eq 0 ]; then
  witnesses
  exit 0
fi

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
# QEMU's parts share files: tools that came from elsewhere (Debian's backports) keep its machine from being installed, and are
# then taken from where the machine comes from.
one_qemu() {
  [[ " ${missing[*]} " == *" qemu-system-x86 "* ]] && have qemu-img || return 0
  local version
  version=$(apt-cache policy qemu-system-x86 | awk '$1 == "Candidate:" { print $2 }')
  [ "$(dpkg-query -W -f '${Version}' qemu-utils 2>/dev/null)" != "$version" ] || return 0
  say "qemu-utils is from another release than qemu-system-x86: taking $version of both."
  missing=("${missing[@]/%qemu-utils/qemu-utils=$version}")
}
install() {
  one_qemu
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --allow-downgrades \
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
witnesses
say "done."

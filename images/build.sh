#!/usr/bin/env bash
# Builds the appliance's image from Debian's packages and the agent's own: OUT/pestle.img (to boot) and OUT/pestle.img.zst (to carry).
#
#   images/build.sh AGENT.deb OUT
#
# OUT keeps what does not change between two builds. README.md beside this file says how the disk is laid out.
set -euo pipefail
umask 022

usage() { echo "usage: images/build.sh AGENT.deb OUT" >&2; exit 64; }
[ $# -eq 2 ] || usage
agent=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")"
[ -f "$agent" ] || { echo "image: there is no package $agent: run 'make image'" >&2; exit 66; }
if [ "$(id -u)" -ne 0 ]; then
  echo "image: files of many owners are unpacked here, which needs root: run 'sudo images/build.sh $1 $2'" >&2
  exit 77
fi

suite=trixie
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
# What the product promises: an image has to reach branches over slow lines.
compressed_bytes_max=$((400 * 1024 * 1024))
say() { echo "image: $*" >&2; }
# Rounded up: what is too large by a byte does not look as if it fitted.
mib_up() { echo $((($1 + 1048575) / 1048576)); }
here=$PWD
work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

# 1. Debian. It is fetched again when what is asked for changes, or after a week: security updates come in with it.
packages=$(sed 's/#.*//' packages | xargs | tr ' ' ',')
asked=$(cat packages root/etc/initramfs-tools/conf.d/pestle root/etc/initramfs-tools/hooks/pestle | sha256sum | cut -c1-16)
base=$out/debian-$suite-$asked.tar
if [ ! -f "$base" ] || [ -n "$(find "$base" -mtime +7)" ]; then
  say "fetching Debian $suite …"
  rm -f "$out"/debian-*.tar
  mmdebstrap --quiet --variant=minbase --components=main,non-free-firmware \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/bash-completion/*' \
    --essential-hook="cp -a '$here/root/etc/initramfs-tools' \"\$1/etc/\"" \
    --include="$packages" "$suite" "$work/debian.tar" \
    "deb $mirror $suite main non-free-firmware" "deb $mirror $suite-updates main non-free-firmware" \
    "deb $security $suite-security main non-free-firmware"
  mv "$work/debian.tar" "$base"
fi

# 2. The root: Debian, our files, the agent.
say "making the root …"
mkdir "$root"
tar -C "$root" -xf "$base"
# As the root's own, whoever has checked this project out, and with whatever umask.
tar -C root -c --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' --no-recursion --files-from=<(cd root && find . -mindepth 1 ! -type d) |
  tar -C "$root" -x
cp "$agent" "$root/tmp/agent.deb"
chroot "$root" env DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /tmp/agent.deb >"$work/dpkg.log" 2>&1 ||
  { cat "$work/dpkg.log" >&2; exit 70; }
rm "$root/tmp/agent.deb"
./finish-root.sh "$root"

# 3. Its slot: the root's file system, and the kernel that starts from it.
slot_bytes=$((1024 * 1024 * 1024))
say "packing the root …"
rm -rf "$work/boot"
mv "$root/boot" "$work/boot" && mkdir "$root/boot"
# What sells stands there as it is run: to unpack it would be a part of each start.
echo '0 usr/bin/pestle-agent' >"$work/as-it-is"
mkfs.erofs --quiet -zlz4hc,9 --compress-hints="$work/as-it-is" -Enoinline_data -T0 -U 5e57e000-0000-4000-8000-00000000000a "$work/root.erofs" "$root"
root_bytes=$(stat -c %s "$work/root.erofs")
if [ "$root_bytes" -gt $slot_bytes ]; then
  say "the root is $(mib_up "$root_bytes") MiB, and its slot has $((slot_bytes / 1048576)) MiB: see which of 'packages' is new or has grown"
  exit 70
fi
# fsck.repair: nobody is there to answer questions. Where a torn write has hit the file system's first block, its recovery takes a
# copy of it, which it does not dare unasked; what is lost by any repair is found by the journal's own chain.
# systemd.gpt_auto: fstab says what is mounted.
kernel=$(echo "$work"/boot/vmlinuz-*)
initrd=$(echo "$work"/boot/initrd.img-*)
boot=$root/usr/lib/systemd/boot/efi
./kernel-image.sh "$boot/linuxx64.efi.stub" "$kernel" "$initrd" "$root/usr/lib/os-release" \
  "root=PARTLABEL=pestle-a rootfstype=erofs ro fsck.repair=yes systemd.gpt_auto=0 quiet loglevel=4 panic=10 console=tty0 console=ttyS0,115200" "$work/pestle-a.efi"

# 4. The disk.
say "making the disk …"
mkdir "$work/data"
tar -C data -c --owner=0 --group=0 --mode='u=rwX,go=rX' . | tar -C "$work/data" -x
./disk.sh "$work/root.erofs" "$work/pestle-a.efi" "$boot/systemd-bootx64.efi" "$work/data" "$work/pestle.img"
say "compressing …"
zstd --quiet --force -T0 -10 "$work/pestle.img" -o "$work/pestle.img.zst"
compressed_bytes=$(stat -c %s "$work/pestle.img.zst")
if [ "$compressed_bytes" -gt $compressed_bytes_max ]; then
  say "the image is $(mib_up "$compressed_bytes") MiB compressed, and may be $((compressed_bytes_max / 1048576)) MiB: see which of 'packages' is new or has grown"
  exit 70
fi
# The parts stay: a test bench makes disks of them with data of its own.
cp "$boot/systemd-bootx64.efi" "$work/loader.efi"
mv "$work/pestle.img" "$work/pestle.img.zst" "$work/root.erofs" "$work/pestle-a.efi" "$work/loader.efi" "$out/"
chroot "$root" dpkg-query --show --showformat='${Package} ${Version}\n' >"$out/packages.txt" 2>/dev/null || true
say "$out/pestle.img.zst: $(mib_up "$compressed_bytes") MiB compressed, root $(mib_up "$root_bytes") MiB"

#!/usr/bin/env bash
# A plain Debian of the appliance's release, to measure the appliance's start beside: stock-debian.sh OUT makes OUT/stock.img.
#
# Packages of priority "important", Debian's kernel with the first file system that its own tools make, an ext4 root, and systemd-boot
# without a menu (GRUB with its menu would be slower). It ends at a login on the first serial port. Needs root, and `make image` before.
set -euo pipefail
umask 022
[ $# -eq 1 ] || { echo "usage: hil-tests/stock-debian.sh OUT" >&2; exit 64; }
mkdir -p "$1"
out=$(realpath "$1")
images=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../images")
[ "$(id -u)" -eq 0 ] || { echo "stock-debian: files of many owners are unpacked here, which needs root" >&2; exit 77; }
work=$(mktemp -d "$out/stock.XXXXXX")
trap 'rm -rf "$work"' EXIT

mmdebstrap --quiet --variant=important --include=linux-image-amd64,systemd-sysv,systemd-boot-efi,dbus \
  trixie "$work/root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
echo 'PARTLABEL=stock-root / ext4 errors=remount-ro 0 1' >"$work/root/etc/fstab"
echo stock >"$work/root/etc/hostname"
chroot "$work/root" systemd-machine-id-setup >/dev/null
"$images/kernel-image.sh" "$work/root/usr/lib/systemd/boot/efi/linuxx64.efi.stub" "$(echo "$work"/root/boot/vmlinuz-*)" \
  "$(echo "$work"/root/boot/initrd.img-*)" "$work/root/usr/lib/os-release" \
  "root=PARTLABEL=stock-root ro quiet console=tty0 console=ttyS0,115200" "$work/stock.efi"

truncate -s 256M "$work/start"
mkfs.vfat -F 32 "$work/start" >/dev/null
printf 'timeout 0\n' >"$work/loader.conf"
mmd -i "$work/start" ::EFI ::EFI/BOOT ::EFI/Linux ::loader
mcopy -i "$work/start" "$work/root/usr/lib/systemd/boot/efi/systemd-bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
mcopy -i "$work/start" "$work/loader.conf" ::loader/loader.conf
mcopy -i "$work/start" "$work/stock.efi" ::EFI/Linux/stock.efi
truncate -s 2G "$work/ext4"
mkfs.ext4 -q -b 4096 -d "$work/root" "$work/ext4"

truncate -s 2306M "$work/stock.img"
sfdisk --quiet "$work/stock.img" <<TABLE
label: gpt
start=1MiB, size=256MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=stock-boot
start=257MiB, size=2048MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=stock-root
TABLE
dd if="$work/start" of="$work/stock.img" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$work/ext4" of="$work/stock.img" bs=1M seek=257 conv=notrunc,sparse status=none
mv "$work/stock.img" "$out/stock.img"

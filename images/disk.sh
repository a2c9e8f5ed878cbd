#!/usr/bin/env bash
# A disk from its parts: disk.sh ROOT.erofs KERNEL.efi LOADER.efi DATA-FOLDER OUT
#
# 1 start   256 MiB  FAT, UEFI: the loader, and one kernel a slot
# 2 slot A    1 GiB  the root; behind the file system there is room for its hash tree
# 3 slot B    1 GiB  empty until the first update
# 4 data      the rest; grown to the disk's end at the first start
set -euo pipefail
[ $# -eq 5 ] || { echo "usage: disk.sh ROOT.erofs KERNEL.efi LOADER.efi DATA-FOLDER OUT" >&2; exit 64; }
root=$1 kernel=$2 loader=$3 data=$4 out=$5
mib=$((1024 * 1024))
start_mib=256 slot_mib=1024 data_mib=${DATA_MIB:-256}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

truncate -s "${start_mib}M" "$work/start"
mkfs.vfat -F 32 -n PESTLE-BOOT -i 5e57e001 "$work/start" >/dev/null
printf 'timeout 0\neditor no\nconsole-mode keep\n' >"$work/loader.conf"
mmd -i "$work/start" ::EFI ::EFI/BOOT ::EFI/Linux ::loader
mcopy -i "$work/start" "$loader" ::EFI/BOOT/BOOTX64.EFI
mcopy -i "$work/start" "$work/loader.conf" ::loader/loader.conf
mcopy -i "$work/start" "$kernel" ::EFI/Linux/pestle-a.efi

truncate -s "${data_mib}M" "$work/data"
# For the disk that it grows to, not for its first size, and whatever the building machine's mke2fs.conf says: blocks of 4 KiB, and a
# journal for a box that syncs with each sale.
mkfs.ext4 -q -L pestle-data -m 1 -b 4096 -I 256 -i 16384 -J size=32 -E lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0 \
  -d "$data" "$work/data"

first=1
slot_a=$((first + start_mib)) slot_b=$((first + start_mib + slot_mib)) rest=$((first + start_mib + 2 * slot_mib))
rm -f "$out"
truncate -s "$(((rest + data_mib + 1) * mib))" "$out"
sfdisk --quiet "$out" <<TABLE
label: gpt
start=${first}MiB, size=${start_mib}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=pestle-boot
start=${slot_a}MiB, size=${slot_mib}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=pestle-a
start=${slot_b}MiB, size=${slot_mib}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=pestle-b
start=${rest}MiB, size=${data_mib}MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=pestle-data
TABLE
put() { dd if="$1" of="$out" bs=1M seek="$2" conv=notrunc,sparse status=none; }
put "$work/start" $first
put "$root" $slot_a
put "$work/data" $rest

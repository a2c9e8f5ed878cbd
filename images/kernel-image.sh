#!/usr/bin/env bash
# One file that UEFI starts: kernel, first file system and command line behind systemd's stub, as the UAPI group's specification
# of unified kernel images names its sections. kernel-image.sh STUB KERNEL INITRD OS-RELEASE COMMAND-LINE OUT
set -euo pipefail
[ $# -eq 6 ] || { echo "usage: kernel-image.sh STUB KERNEL INITRD OS-RELEASE COMMAND-LINE OUT" >&2; exit 64; }
stub=$1 kernel=$2 initrd=$3 release=$4 words=$5 out=$6

line=$(mktemp)
trap 'rm -f "$line"' EXIT
printf '%s' "$words" >"$line"

# Sections must not overlap in memory: each begins at the next boundary behind the one before.
alignment=$((16#$(objdump -p "$stub" | awk '/^SectionAlignment/ { print $2 }')))
base=$((16#$(objdump -p "$stub" | awk '/^ImageBase/ { print $2 }')))
round_up() { echo $((($1 + alignment - 1) / alignment * alignment)); }
end=$(objdump -h "$stub" | awk 'NF == 7 && $1 ~ /^[0-9]+$/ { size = $3; start = $4 } END { print start, size }')
next=$(round_up $((16#${end% *} + 16#${end#* } - base)))
arguments=()
add() {
  arguments+=(--add-section "$1=$2" --change-section-vma "$1=$(printf '0x%x' $((base + next)))")
  next=$(round_up $((next + $(stat -Lc %s "$2"))))
}
add .osrel "$release"
add .cmdline "$line"
add .initrd "$initrd"
add .linux "$kernel"
objcopy "${arguments[@]}" "$stub" "$out"

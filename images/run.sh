#!/usr/bin/env bash
# Starts the image in QEMU, in software: images/run.sh IMAGE-FOLDER [QEMU ARGUMENTS]
#
# The console is this terminal (Ctrl-A X ends the machine). What the machine writes stays in IMAGE-FOLDER/run.qcow2; FRESH=1 begins with
# the image as it was built. That is a box which is nobody yet: no page listens before it is enrolled.
#
# STICK=FOLDER puts a technician's stick with what is in that folder into the machine's USB port; README.md says how one enrols the box
# with it at a centre on this machine. Then its pages are on https://localhost:8443 (PORT=… for another).
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: images/run.sh IMAGE-FOLDER [QEMU ARGUMENTS]" >&2; exit 64; }
folder=$(realpath "$1")
shift
image=$folder/pestle.img
[ -f "$image" ] || { echo "run: $image is not there: run 'make image' first" >&2; exit 66; }
code=/usr/share/OVMF/OVMF_CODE_4M.fd variables=/usr/share/OVMF/OVMF_VARS_4M.fd

# A disk that follows an older image does not fit a newer one.
if [ "${FRESH:-}" = 1 ] || [ ! -f "$folder/run.qcow2" ] || [ "$image" -nt "$folder/run.qcow2" ]; then
  qemu-img create -q -f qcow2 -b "$image" -F raw "$folder/run.qcow2" 8G
  cp "$variables" "$folder/run.variables.fd"
fi
stick=()
if [ -n "${STICK:-}" ]; then
  [ -d "$STICK" ] || { echo "run: STICK=$STICK is no folder: write the files for the stick into one" >&2; exit 66; }
  # Debian has it there, and not in everybody's PATH.
  PATH=$PATH:/usr/sbin
  rm -f "$folder/stick.img"
  # FAT32 begins at some 33 MiB; there is room for what the box writes.
  truncate -s "$(($(du -sm "$STICK" | cut -f 1) + 64))M" "$folder/stick.img"
  mkfs.vfat -F 32 -n PESTLESETUP "$folder/stick.img" >/dev/null
  shopt -s nullglob
  files=("$STICK"/*)
  [ ${#files[@]} -eq 0 ] || mcopy -s -i "$folder/stick.img" "${files[@]}" ::
  stick=(-drive "if=none,id=stick,format=raw,file=$folder/stick.img" -device "usb-storage,drive=stick")
  echo "run: what the box writes on the stick is read with: mtype -i $folder/stick.img ::result.txt" >&2
fi
# Why "-erms": with it Linux clears memory byte by byte, which the emulation does very slowly where a program was before.
exec qemu-system-x86_64 -nodefaults -no-user-config -machine q35,accel=tcg -cpu max,-erms -smp 2 -m 1024 \
  -drive if=pflash,format=raw,readonly=on,file="$code" -drive if=pflash,format=raw,file="$folder/run.variables.fd" \
  -drive if=none,id=disk,format=qcow2,file="$folder/run.qcow2" -device virtio-blk-pci,drive=disk,bootindex=0 \
  -netdev user,id=lan,hostfwd=tcp:127.0.0.1:"${PORT:-8443}"-:443 -device virtio-net-pci,netdev=lan \
  -device qemu-xhci -device usb-kbd -vga std -display none -serial mon:stdio "${stick[@]}" "$@"

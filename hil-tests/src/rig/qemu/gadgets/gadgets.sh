#!/bin/sh
# Plays USB devices inside the virtual machine, by the kernel's own gadgets behind a USB controller that is software at both ends
# (Linux, Documentation/usb/gadget_configfs.rst, drivers/usb/gadget/udc/dummy_hcd.c): gadgets.sh plug|pull printer|scanner
#
# Only what plays the device is loaded here. What drives it (usblp, cdc_acm), its names and rights are the image's own matter.
set -eu
tables=$(dirname "$(dirname "$0")")
gadget=/sys/kernel/config/usb_gadget/$2

# The numbers are those of the kernel's own gadgets (usb.ids: NetChip, "Linux-USB Printer Gadget", "… Serial Gadget").
make() {
  modprobe libcomposite
  # One socket for each.
  modprobe dummy_hcd num=2
  mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
  mkdir "$gadget" "$gadget/strings/0x409" "$gadget/configs/c.1" "$gadget/functions/$1"
  echo 0x0525 >"$gadget/idVendor"
  echo "$2" >"$gadget/idProduct"
  echo "$3" >"$gadget/strings/0x409/serialnumber"
  echo Pestle >"$gadget/strings/0x409/manufacturer"
  echo "$4" >"$gadget/strings/0x409/product"
}

begin() {
  ln -s "$gadget/functions/$1" "$gadget/configs/c.1/"
  systemd-run --quiet --unit="pestle-bench-$3" perl "$tables/bridge.pl/raw" "$2" "/dev/virtio-ports/pestle.bench.$3"
}

case $2 in
  printer) udc=dummy_udc.0 ;;
  scanner) udc=dummy_udc.1 ;;
esac
# Plugged in already.
[ "$1" = plug ] && [ -n "$(cat "$gadget/UDC" 2>/dev/null)" ] && exit 0
case $1-$2 in
  plug-printer)
    if [ ! -d "$gadget" ]; then
      make printer.0 0xa4a8 USBP0001 "Receipt printer"
      echo "MFG:Pestle;MDL:Receipt printer;CLS:PRINTER;CMD:ESC/POS;" >"$gadget/functions/printer.0/pnp_string"
      begin printer.0 /dev/g_printer0 printer
    fi
    echo "$udc" >"$gadget/UDC"
    ;;
  plug-scanner)
    if [ ! -d "$gadget" ]; then
      make acm.0 0xa4a7 ACMS0001 "Barcode scanner"
      begin acm.0 "/dev/ttyGS$(cat "$gadget/functions/acm.0/port_num")" scanner
    fi
    echo "$udc" >"$gadget/UDC"
    ;;
  pull-*) echo >"$gadget/UDC" ;;
esac

#!/usr/bin/env bash
# Turns an unpacked Debian with our files into a root that is read-only and needs no first start: finish-root.sh ROOT
set -euo pipefail
root=${1:?usage: finish-root.sh ROOT}

# Links that would be made at a first start.
ln -sfn ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
ln -sfn /usr/share/zoneinfo/UTC "$root/etc/localtime"
# Empty: made anew in memory at each start. All boxes have the same root.
: >"$root/etc/machine-id"
rm -f "$root/etc/hostname" "$root/var/lib/dbus/machine-id"
echo pestle >"$root/etc/hostname"
mkdir -p "$root/data" "$root/etc/pestle"

# Nobody signs in at the box's own console: it shows how the box is. Nobody restarts it there either, by a keyboard in any socket
# (ctrl-alt-del.target; the rest of that is in system.conf.d, logind.conf.d, sysctl.d and 70-power-switch.rules).
chroot "$root" passwd --quiet --lock root
systemctl --root="$root" --quiet mask getty@.service serial-getty@.service console-getty.service getty.target autovt@.service ctrl-alt-del.target \
  systemd-firstboot.service systemd-networkd-wait-online.service \
  systemd-pcrmachine.service systemd-pcrphase.service systemd-pcrphase-sysinit.service \
  ldconfig.service systemd-hwdb-update.service systemd-journal-catalog-update.service systemd-update-done.service \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
  modprobe@loop.service modprobe@dm_mod.service systemd-pstore.service systemd-hibernate-clear.service \
  systemd-battery-check.service systemd-tpm2-setup-early.service systemd-tpm2-setup.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
systemctl --root="$root" --quiet enable systemd-networkd.service systemd-resolved.service systemd-timesyncd.service \
  systemd-repart.service nftables.service pestle-data.service pestle-log-tail.timer pestle-log-tail-at-stop.service \
  pestle-console@tty1.service pestle-console@ttyS0.service pestle-name.service pestle-name.path pestle-agent.service

# A rule with a fault is passed over in silence by the box; here it ends the build.
chroot "$root" udevadm verify --no-summary /usr/lib/udev/rules.d/70-pestle.rules /etc/udev/rules.d/70-power-switch.rules /etc/udev/rules.d/71-pestle-setup.rules

# What only an installation needs. The list of packages stays beside the image.
rm -rf "$root"/var/cache/* "$root"/var/log/* "$root"/usr/share/{lintian,bug,bash-completion,zsh,info,man} "$root"/var/lib/apt/lists/* "$root/tmp"/*

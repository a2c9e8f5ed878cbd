//! A person's keyboard beside a scanner that types: its keys are the person's, and none of them stops the box.

use std::time::Duration;

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use pestle_drivers::scanner::keyboard::record::{EV_KEY, RecordCutter};

use super::{article, at_till, device, shown};
use crate::{
    rig::{Rig, ScannerKind},
    waiting::until,
};

/// Where the kernel has each of them, by the serial number that the rig gave it (udev, `60-persistent-input.rules`).
const SCANNER: &str = "/dev/input/by-id/usb-*_KEYB0001-event-kbd";
const BESIDE: &str = "/dev/input/by-id/usb-*_KEYB0002-event-kbd";
/// The kernel and udev have found it by then.
const PLUGGED_WITHIN: Duration = Duration::from_secs(60);
/// A program of the box has begun to read, or has written what it read.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// As long as this the readers below run at most.
const READ_S: u32 = 60;
/// How often ctrl-alt-del is pressed: systemd restarts at once what was asked for more often than seven times in two seconds (systemd-system.conf(5),
/// `CtrlAltDelBurstAction`).
const BURST: usize = 9;
/// Of all that is pressed, what must have come to the guest: Ctrl, Alt and Delete, SysRq and B, Power; and F12, the last of all (the kernel's
/// `input-event-codes.h`). Sleep is not pressed: QEMU's keyboard has no usage for it.
const PRESSED: [u16; 7] = [29, 56, 111, 99, 48, 116, 88];
/// Which start of the machine this is, and which of the agent.
const ASK_THE_START: &str =
    "cat /proc/sys/kernel/random/boot_id; systemctl show pestle-agent -p ExecMainStartTimestampMonotonic";

/// A keyboard that nobody bound is nobody's scanner: another program in the box reads what a person types there, and nothing of it is on the page.
/// Of the scanner no other program reads anything. Keys that restart, end or suspend other machines do nothing to this one.
pub(super) async fn beside_the_scanner(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, ScannerKind::Keyboard.till()).await?;
    shown(&counter, "that the scanner is there", device(ScannerKind::Keyboard.name(), true)).await?;
    let before = rig.inside(ASK_THE_START).await?;

    rig.plug_keyboard(true).await?;
    reads(rig, BESIDE, "beside").await?;
    for key in article(0)?.code.bytes().map(|digit| char::from(digit).to_string()) {
        rig.press(&[&key]).await?;
    }
    rig.press(&["ret"]).await?;
    for _ in 0..BURST {
        rig.press(&["ctrl", "alt", "delete"]).await?;
    }
    // SysRq and b would restart it at once (the kernel's admin-guide/sysrq).
    for keys in [&["alt", "sysrq", "b"][..], &["power"], &["alt", "f2"], &["f12"]] {
        rig.press(keys).await?;
    }
    has_read(rig, "beside", &PRESSED).await?;
    rig.plug_keyboard(false).await?;

    // What the keys had begun would be under way by the end of a scan, and the first scan on the page is this one.
    reads(rig, SCANNER, "scanner").await?;
    rig.scan(ScannerKind::Keyboard, article(1)?.code.as_bytes()).await?;
    let till = shown(&counter, "the scanned pack", |till| till.basket.is_some()).await?;
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(lines.len() == 1 && lines[0].name == article(1)?.product, "the counter shows {lines:?}");
    ensure!(till.refusals.is_empty(), "what a person typed was refused as a scan: {:?}", till.refusals);
    let overheard = rig.inside("stat --format=%s /run/scanner").await?;
    ensure!(overheard.trim() == "0", "another program has read {overheard} bytes of the scanner's keys");
    let after = rig.inside(ASK_THE_START).await?;
    ensure!(after == before, "{before} it was, and after the keys it is {after}");
    let screen = rig.inside("cat /sys/class/tty/tty0/active").await?;
    ensure!(screen.trim() == "tty1", "the keys have put another screen before the box's: {screen}");
    let jobs = rig.inside("systemctl list-jobs --no-legend").await?;
    ensure!(jobs.trim().is_empty(), "the keys have begun something: {jobs}");
    let buttons = rig.inside("journalctl --unit=systemd-logind --output=cat | grep Watching").await?;
    let own = buttons.lines().count() == 1 && buttons.contains("(Power Button)");
    ensure!(own, "the box would be switched off by other keys than its own button: {buttons}");
    rig.inside("pkill -x cat; rm -f /run/beside /run/scanner").await.map(drop)
}

/// Has a program of the box read that keyboard, as any may that nobody keeps it from, into `/run/NAME`.
async fn reads(rig: &mut dyn Rig, keyboard: &str, name: &str) -> Result<()> {
    let rig = tokio::sync::Mutex::new(rig);
    let there = until("the keyboard in the box", PLUGGED_WITHIN, || async {
        let look = format!("test -e {keyboard}");
        rig.lock().await.inside(&look).await.map_err(|error| error.to_string())
    });
    there.await?;
    let reader = format!("(timeout {READ_S} cat {keyboard} >/run/{name} 2>/run/{name}.errors &)");
    let opened = format!("{reader}; sleep 1; test ! -s /run/{name}.errors && test -e /run/{name}");
    rig.into_inner().inside(&opened).await.map(drop)
}

/// Waits until the reader has read that these keys went down, by the kernel's numbers.
async fn has_read(rig: &mut dyn Rig, name: &str, keys: &[u16]) -> Result<()> {
    let rig = tokio::sync::Mutex::new(rig);
    let read = until("what was typed, as another program of the box reads it", READ_WITHIN, || async {
        let read = rig.lock().await.inside(&format!("base64 --wrap=0 /run/{name}")).await;
        let read = STANDARD.decode(read.map_err(|error| error.to_string())?.trim());
        let mut cutter = RecordCutter::default();
        let records = cutter.push(&read.map_err(|error| error.to_string())?);
        let went_down = |key: u16| {
            records.iter().any(|record| record.kind == EV_KEY && record.code == key && record.value == 1)
        };
        let lacking: Vec<_> = keys.iter().filter(|key| !went_down(**key)).collect();
        if lacking.is_empty() { Ok(()) } else { Err(format!("{lacking:?} of {} records", records.len())) }
    });
    Ok(read.await?)
}

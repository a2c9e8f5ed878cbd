//! Key streams as a kernel tells them: keys are pressed through QEMU's monitor on the USB keyboard, and a `cat` inside the
//! machine keeps what the kernel's own driver makes of them. The decoder of `pestle-drivers` is tried against these files.
//!
//! What a key means in a country is written down here by hand, from the keyboards themselves: nothing of the product's tables
//! is used.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{QemuRig, guest::Guest, keys::stroke, machine::WAITING_MAX};
use crate::waiting::until;

/// What was pressed is in the file; the machine may be busy.
const RECORDED_WITHIN: Duration = Duration::from_secs(60);
/// The machine's USB keyboard, by udev's stable name.
const KEYBOARD: &str = "/dev/input/by-id/usb-QEMU_QEMU_USB_Keyboard_*-event-kbd";
/// `struct input_event` of a 64-bit kernel (`linux/input.h`).
const RECORD_BYTES: usize = 24;
/// `EV_KEY`, and the value of a key that went up, and of one that is still down (`linux/input-event-codes.h`).
const EV_KEY: u16 = 1;
const UP: i32 = 0;
const STILL_DOWN: i32 = 2;
/// Of a key that goes down and up, each with a prefix where it is one of the keypad's or the right hand's.
const EVENTS_PER_KEY: usize = 4;

/// One recording.
#[derive(Debug)]
pub struct Take {
    /// Its file.
    pub name: &'static str,
    /// The country of the scanner's settings, as the agent's configuration calls it.
    pub layout: &'static str,
    /// The scanner types function keys for separators.
    pub function_keys: bool,
    /// What was scanned, without its Enter.
    pub scans: Vec<String>,
    /// In order.
    presses: Vec<Press>,
}

/// Keys by QEMU's names (`QKeyCode`), pressed in this order and released in the other.
#[derive(Debug, Clone)]
struct Press {
    keys: Vec<&'static str>,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Down and up.
    Pressed,
    /// Held until the kernel repeats the last one.
    Held,
    /// Down only.
    Down,
    /// Up only.
    Up,
}

fn press(keys: &[&'static str]) -> Press {
    Press { keys: keys.to_vec(), what: What::Pressed }
}

/// The words of a line, each a key by itself or keys that are held together (`ctrl+a`); `/alt` goes down, `alt/` comes up.
fn presses(line: &'static str) -> Vec<Press> {
    let one = |word: &'static str| match (word.strip_prefix('/'), word.strip_suffix('/')) {
        (Some(key), _) => Press { keys: vec![key], what: What::Down },
        (_, Some(key)) => Press { keys: vec![key], what: What::Up },
        _ => press(&word.split('+').collect::<Vec<_>>()),
    };
    line.split_whitespace().map(one).collect()
}

/// Strokes of a US keyboard.
fn typed(text: &str) -> Result<Vec<Press>> {
    let one = |byte: u8| {
        let stroke = stroke(byte).with_context(|| format!("no key types {byte:#04x}"))?;
        let held = [stroke.shift.then_some("shift"), stroke.control.then_some("ctrl")];
        Ok(press(&held.into_iter().flatten().chain([stroke.key]).collect::<Vec<_>>()))
    };
    text.bytes().map(one).collect()
}

/// All that is recorded.
///
/// # Errors
/// A text holds what no key types.
pub fn takes() -> Result<Vec<Take>> {
    let us = |name, scans: &[&str]| -> Result<Take> {
        let scans: Vec<String> = scans.iter().map(|scan| (*scan).to_owned()).collect();
        let presses = typed(&scans.iter().map(|scan| format!("{scan}\r")).collect::<String>())?;
        Ok(Take { name, layout: "us", function_keys: false, scans, presses })
    };
    let keys = |name, layout, scans: &[&str], line| Take {
        name,
        layout,
        function_keys: false,
        scans: scans.iter().map(|scan| (*scan).to_owned()).collect(),
        presses: presses(line),
    };
    let ascii: String = (b' '..=b'~').map(char::from).collect();
    let mut held = keys("held-key", "us", &["47"], "4 7 ret");
    held.presses[1].what = What::Held;
    let f8 = keys("function-key-separator", "us", &["10A1\u{1d}217"], "1 0 shift+a 1 f8 2 1 7 ret");
    Ok(vec![
        us("gtin", &["4006381333931"])?,
        us("gs1-control-bracket", &["010952123454321310A1\u{1d}217"])?,
        us("upper-and-lower", &["aAbBzZ", "]d2Ab"])?,
        us("printable-ascii", &[&ascii])?,
        keys("caps-lock", "us", &["ABc1!", "ab"], "caps_lock a b shift+c 1 shift+1 ret caps_lock a b ret"),
        keys(
            "keypad",
            "us",
            &["0123456789", ".-+*/"],
            "kp_0 kp_1 kp_2 kp_3 kp_4 kp_5 kp_6 kp_7 kp_8 kp_9 kp_enter \
             kp_decimal kp_subtract kp_add kp_multiply kp_divide ret",
        ),
        held,
        Take { function_keys: true, ..f8 },
        keys(
            "alt-code",
            "us",
            &["10A1\u{1d}217A"],
            "1 0 shift+a 1 /alt kp_0 kp_0 kp_2 kp_9 alt/ 2 1 7 /alt kp_6 kp_5 alt/ ret",
        ),
        // German: Y and Z change places, ß is beside 0, Shift and 2 is ", AltGr and Q is @, AltGr and 8 is [, Ctrl and the key of + is GS.
        keys(
            "german",
            "german",
            &["zyZY", "ß\"@[(", "10A1\u{1d}217"],
            "y z shift+y shift+z ret minus shift+2 alt_r+q alt_r+8 shift+8 ret 1 0 shift+a 1 ctrl+bracket_right 2 1 7 ret",
        ),
        // French: digits are shifted, A and Q change places.
        keys(
            "french",
            "french",
            &["4006381", "aqAQ"],
            "shift+4 shift+0 shift+0 shift+6 shift+3 shift+8 shift+1 ret q a shift+q shift+a ret",
        ),
        // Its Caps Lock holds Shift for the digits too.
        keys("french-caps-lock", "french", &["400A"], "caps_lock 4 0 0 q caps_lock ret"),
        // United Kingdom: Shift and 2 is ", Shift and 3 is £, Shift and ' is @, # has a key of its own, and so has \, left of Z.
        keys(
            "uk",
            "uk",
            &["\"£@#~", "\\|", "10A1\u{1d}217"],
            "shift+2 shift+3 shift+apostrophe backslash shift+backslash ret less shift+less ret \
             1 0 shift+a 1 ctrl+bracket_right 2 1 7 ret",
        ),
        // Spanish: ñ is beside L, Shift and 7 is /, AltGr makes | @ # of 1 2 3 and [ ] of the keys beside P, ' is beside 0.
        keys(
            "spanish",
            "spanish",
            &["ñÑ\"/", "|@#[]'", "10A1\u{1d}217"],
            "semicolon shift+semicolon shift+2 shift+7 ret alt_r+1 alt_r+2 alt_r+3 alt_r+bracket_left alt_r+bracket_right minus ret \
             1 0 shift+a 1 ctrl+bracket_right 2 1 7 ret",
        ),
    ])
}

/// Records all takes into `folder`. The machine is on.
///
/// # Errors
/// The machine does not answer, or the keys do not arrive.
pub async fn record(rig: &mut QemuRig, folder: &Path) -> Result<Vec<&'static str>> {
    fs::create_dir_all(folder)?;
    let mut guest = rig.guest().await?;
    // It has the keyboard for itself, as the scanner that it is configured as.
    guest.run("systemctl stop pestle-agent").await?;
    let kernel = guest.run("uname -r").await?.trim().to_owned();
    let version = rig.running()?.ask("query-version", json!({})).await?;
    let part = |name: &str| version["qemu"][name].as_u64().unwrap_or(0);
    let qemu = format!("{}.{}.{}", part("major"), part("minor"), part("micro"));
    let origin = format!(
        "cat of /dev/input/event* in the appliance's image: kernel {kernel}, usbhid, the USB keyboard of QEMU {qemu}, keys pressed with QMP's input-send-event"
    );
    let mut names = Vec::new();
    for take in takes()? {
        let events = one(rig, &mut guest, &take).await.with_context(|| take.name)?;
        fs::write(folder.join(take.name).with_extension("events"), events)?;
        fs::write(folder.join(take.name).with_extension("toml"), told(&take, &origin)?)?;
        names.push(take.name);
    }
    Ok(names)
}

/// A recording's TOML. JSON's strings and rows of them are TOML's too, where no character is DEL (TOML 1.0, "String").
fn told(take: &Take, origin: &str) -> Result<String> {
    let Take { layout, function_keys, scans, .. } = take;
    let (scans, origin) = (serde_json::to_string(scans)?, serde_json::to_string(origin)?);
    Ok(format!("layout = {layout:?}\nfunction_keys = {function_keys}\nscans = {scans}\norigin = {origin}\n"))
}

async fn one(rig: &mut QemuRig, guest: &mut Guest, take: &Take) -> Result<Vec<u8>> {
    let file = format!("/tmp/{}", take.name);
    // It reads before the first key: the device's file is open.
    let started = format!(
        "cat {KEYBOARD} >{file} & echo $!; until ls -l /proc/$!/fd | grep -q /dev/input/event; do :; done"
    );
    let reader = guest.run(&started).await?.trim().to_owned();
    let (mut pressed, mut told) = (0, 0);
    for press in &take.presses {
        if pressed + press.keys.len() - told > WAITING_MAX / EVENTS_PER_KEY {
            recorded(guest, &file, |keys| released(keys) == pressed).await?;
            told = pressed;
        }
        if press.what != What::Up {
            rig.running()?.keys(&press.keys, true).await?;
        }
        if press.what == What::Held {
            recorded(guest, &file, |keys| keys.iter().any(|(_, value)| *value == STILL_DOWN)).await?;
        }
        if press.what != What::Down {
            rig.running()?.keys(&press.keys, false).await?;
            pressed += press.keys.len();
        }
    }
    let events = recorded(guest, &file, |keys| released(keys) == pressed).await?;
    guest.run(&format!("kill {reader}; rm {file}")).await?;
    Ok(events)
}

/// How many keys went up.
fn released(keys: &[(u16, i32)]) -> usize {
    keys.iter().filter(|(_, value)| *value == UP).count()
}

/// Waits until the file has what `is` wants of its keys and their values.
async fn recorded(guest: &mut Guest, file: &str, is: impl Fn(&[(u16, i32)]) -> bool) -> Result<Vec<u8>> {
    let guest = tokio::sync::Mutex::new(guest);
    let looked = until("the keys in the machine", RECORDED_WITHIN, || async {
        let text =
            guest.lock().await.run(&format!("base64 {file}")).await.map_err(|error| error.to_string())?;
        let bytes = read(&text).map_err(|error| error.to_string())?;
        let keys = keys(&bytes);
        if is(&keys) { Ok(bytes) } else { Err(format!("{} keys, the last {:?}", keys.len(), keys.last())) }
    });
    Ok(looked.await?)
}

fn read(text: &str) -> Result<Vec<u8>> {
    let bytes = STANDARD.decode(text.split_whitespace().collect::<String>())?;
    ensure!(bytes.len().is_multiple_of(RECORD_BYTES), "{} bytes are no whole records", bytes.len());
    Ok(bytes)
}

fn keys(events: &[u8]) -> Vec<(u16, i32)> {
    let (records, _) = events.as_chunks::<RECORD_BYTES>();
    let key = |record: &[u8; RECORD_BYTES]| {
        let short = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
        let value = i32::from_le_bytes([record[20], record[21], record[22], record[23]]);
        (short(16) == EV_KEY).then_some((short(18), value))
    };
    records.iter().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_take_ends_each_scan_with_enter_and_has_a_name_of_its_own() {
        let takes = takes().unwrap();
        for (index, take) in takes.iter().enumerate() {
            let enters =
                take.presses.iter().filter(|press| matches!(press.keys.last(), Some(&"ret" | &"kp_enter")));
            assert_eq!(enters.count(), take.scans.len(), "{}", take.name);
            assert!(takes[index + 1..].iter().all(|other| other.name != take.name), "{}", take.name);
        }
    }

    #[test]
    fn keys_are_read_out_of_records_and_reports_are_passed_over() {
        let record = |kind: u16, code: u16, value: i32| {
            let parts = [&[0; 16][..], &kind.to_le_bytes(), &code.to_le_bytes(), &value.to_le_bytes()];
            STANDARD.encode(parts.concat())
        };
        let text = [record(EV_KEY, 28, 1), record(0, 0, 0), record(EV_KEY, 28, UP)].join("");
        assert_eq!(keys(&read(&text).unwrap()), [(28, 1), (28, UP)]);
        assert!(read("AAAA").is_err());
    }
}

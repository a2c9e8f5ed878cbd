//! The ESC/POS commands in a stream of bytes. Pure. Named after Epson's ESC/POS reference.

/// One command, or one printable byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A byte to print in the current code page.
    Print(u8),
    /// `LF`: print the line.
    LineFeed,
    /// `ESC @`: back to the settings after switching on.
    Initialise,
    /// `ESC t n`: code page.
    CodePage(u8),
    /// `ESC a n`: 0 left, 1 centre, 2 right.
    Align(u8),
    /// `ESC E n`, `ESC G n`: bold.
    Bold(bool),
    /// `ESC - n`: underline.
    Underline(bool),
    /// `GS ! n`: width and height, 1 to 8 each.
    Size {
        /// Times as wide.
        width: u8,
        /// Times as high.
        height: u8,
    },
    /// `ESC d n`: print and feed lines.
    FeedLines(u8),
    /// `ESC J n`: print and feed dots.
    FeedDots(u8),
    /// `GS V`: cut.
    Cut {
        /// A bridge is left.
        partial: bool,
    },
    /// `ESC p m t1 t2`: drawer kick.
    Kick {
        /// Connector pin 0 or 1.
        pin: u8,
    },
    /// `GS H n`: is the text printed below a barcode?
    TextBelow(bool),
    /// `GS h n`: height of barcodes in dots.
    BarcodeHeight(u8),
    /// `GS w n`: width of a barcode's module in dots.
    BarcodeModule(u8),
    /// `GS k m`: a barcode.
    Barcode {
        /// 67 is EAN-13, 73 Code 128; the older numbers 0 to 6 are raised by 65.
        system: u8,
        /// What it holds.
        data: Vec<u8>,
    },
    /// `GS ( k`, code 49: set the QR module size in dots.
    QrModule(u8),
    /// Set the QR correction level, 48 (L) to 51 (H).
    QrCorrection(u8),
    /// Store the QR data.
    QrStore(Vec<u8>),
    /// Print the stored QR code.
    QrPrint,
    /// `ESC ! n`: bold, size and underline at once.
    PrintMode(u8),
    /// `GS v 0`: an image.
    Raster {
        /// Bytes a row.
        row_bytes: u16,
        /// Rows of eight dots a byte.
        data: Vec<u8>,
    },
    /// `GS ( L` or `GS 8 L`, function 112: keep an image.
    GraphicsStore {
        /// Dots across.
        width: u16,
        /// Rows of eight dots a byte.
        data: Vec<u8>,
    },
    /// `GS ( L`, function 50: print the kept image.
    GraphicsPrint,
    /// `ESC B`, `ESC ( A`: the buzzer.
    Beep,
    /// `GS a n`: automatic status back.
    AutomaticStatus(u8),
    /// `GS r n`: status in the order of the data.
    QueuedStatus(u8),
    /// `GS ( H`: answer when all before it is on paper.
    ProcessId([u8; 4]),
    /// Known, and of no effect here.
    Ignored,
    /// Not known; a real printer would print rubbish.
    Unknown(Vec<u8>),
}

/// What stands at the front of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A command, and how many bytes it takes.
    Command(Command, usize),
    /// The bytes end in the middle of a command.
    Incomplete,
}

const ESC: u8 = 0x1b;
const GS: u8 = 0x1d;
const DLE: u8 = 0x10;

/// Reads the first command of `bytes`.
#[must_use]
pub fn first_command(bytes: &[u8]) -> Parsed {
    let one = |command| Parsed::Command(command, 1);
    match bytes.first() {
        None => Parsed::Incomplete,
        Some(b'\n') => one(Command::LineFeed),
        Some(b'\r' | 0) => one(Command::Ignored),
        Some(&DLE) => real_time(bytes),
        Some(&ESC) => escape(bytes).unwrap_or(Parsed::Incomplete),
        Some(&GS) => group(bytes).unwrap_or(Parsed::Incomplete),
        Some(byte) if *byte < 0x20 => one(Command::Unknown(vec![*byte])),
        Some(byte) => one(Command::Print(*byte)),
    }
}

/// Carried out when they arrived; here they are only stepped over.
fn real_time(bytes: &[u8]) -> Parsed {
    match bytes.get(1) {
        None => Parsed::Incomplete,
        Some(0x04 | 0x05) if bytes.len() < 3 => Parsed::Incomplete,
        Some(0x04 | 0x05) => Parsed::Command(Command::Ignored, 3),
        Some(0x14) if bytes.len() < 5 => Parsed::Incomplete,
        Some(0x14) => Parsed::Command(Command::Ignored, 5),
        Some(_) => Parsed::Command(Command::Unknown(vec![DLE]), 1),
    }
}

/// `None` when more bytes are needed.
fn escape(bytes: &[u8]) -> Option<Parsed> {
    let letter = *bytes.get(1)?;
    let one = |command: fn(u8) -> Command| bytes.get(2).map(|n| Parsed::Command(command(*n), 3));
    match letter {
        b'@' => Some(Parsed::Command(Command::Initialise, 2)),
        b't' => one(Command::CodePage),
        b'a' => one(|n| Command::Align(n % 48)),
        b'!' => one(Command::PrintMode),
        b'B' => (bytes.len() >= 4).then_some(Parsed::Command(Command::Beep, 4)),
        b'(' => {
            let &[_, _, kind, low, high] = bytes.get(..5)? else { return None };
            let length = 5 + usize::from(u16::from_le_bytes([low, high]));
            let known = if kind == b'A' { Command::Beep } else { Command::Unknown(bytes[..5].to_vec()) };
            (bytes.len() >= length).then_some(Parsed::Command(known, length))
        }
        b'E' | b'G' => one(|n| Command::Bold(n & 1 == 1)),
        b'-' => one(|n| Command::Underline(n % 48 != 0)),
        b'd' => one(Command::FeedLines),
        b'J' => one(Command::FeedDots),
        b'p' => (bytes.len() >= 5).then(|| Parsed::Command(Command::Kick { pin: bytes[2] % 48 }, 5)),
        b'M' | b'R' | b'V' | b'{' | b'3' | b' ' => one(|_| Command::Ignored),
        b'2' => Some(Parsed::Command(Command::Ignored, 2)),
        other => Some(Parsed::Command(Command::Unknown(vec![ESC, other]), 2)),
    }
}

/// `None` when more bytes are needed.
fn group(bytes: &[u8]) -> Option<Parsed> {
    let letter = *bytes.get(1)?;
    let one = |command: fn(u8) -> Command| bytes.get(2).map(|n| Parsed::Command(command(*n), 3));
    match letter {
        b'!' => one(|n| Command::Size { width: (n >> 4 & 7) + 1, height: (n & 7) + 1 }),
        b'H' => one(|n| Command::TextBelow(n % 48 >= 2)),
        b'h' => one(Command::BarcodeHeight),
        b'w' => one(Command::BarcodeModule),
        b'a' => one(Command::AutomaticStatus),
        b'r' => one(Command::QueuedStatus),
        b'f' | b'B' | b'b' => one(|_| Command::Ignored),
        b'V' => cut(bytes),
        b'k' => barcode(bytes),
        b'v' => raster(bytes),
        b'(' => counted(bytes),
        b'8' => counted_long(bytes),
        other => Some(Parsed::Command(Command::Unknown(vec![GS, other]), 2)),
    }
}

fn cut(bytes: &[u8]) -> Option<Parsed> {
    let mode = *bytes.get(2)?;
    match mode {
        0 | 48 => Some(Parsed::Command(Command::Cut { partial: false }, 3)),
        1 | 49 => Some(Parsed::Command(Command::Cut { partial: true }, 3)),
        // Feed to the cutter first. The library's third byte is the feed, not the kind of cut.
        65 | 66 => bytes.get(3).map(|_| Parsed::Command(Command::Cut { partial: mode == 66 }, 4)),
        other => Some(Parsed::Command(Command::Unknown(vec![GS, b'V', other]), 3)),
    }
}

fn barcode(bytes: &[u8]) -> Option<Parsed> {
    let system = *bytes.get(2)?;
    if system >= 65 {
        let length = usize::from(*bytes.get(3)?);
        let data = bytes.get(4..4 + length)?.to_vec();
        return Some(Parsed::Command(Command::Barcode { system, data }, 4 + length));
    }
    let length = bytes.get(3..)?.iter().position(|byte| *byte == 0)?;
    let data = bytes[3..3 + length].to_vec();
    Some(Parsed::Command(Command::Barcode { system: system + 65, data }, 4 + length))
}

fn raster(bytes: &[u8]) -> Option<Parsed> {
    let &[_, _, _, _, x_low, x_high, y_low, y_high] = bytes.get(..8)? else { return None };
    let row_bytes = u16::from_le_bytes([x_low, x_high]);
    let length = usize::from(row_bytes) * usize::from(u16::from_le_bytes([y_low, y_high]));
    let data = bytes.get(8..8 + length)?.to_vec();
    Some(Parsed::Command(Command::Raster { row_bytes, data }, 8 + length))
}

/// `GS ( x pL pH …`.
fn counted(bytes: &[u8]) -> Option<Parsed> {
    let &[_, _, kind, low, high] = bytes.get(..5)? else { return None };
    let length = usize::from(u16::from_le_bytes([low, high]));
    let body = bytes.get(5..5 + length)?;
    let command = match (kind, body) {
        (b'k', [49, 65, ..]) => Command::Ignored,
        (b'k', [49, 67, dots]) => Command::QrModule(*dots),
        (b'k', [49, 69, level]) => Command::QrCorrection(*level),
        (b'k', [49, 80, 48, data @ ..]) => Command::QrStore(data.to_vec()),
        (b'k', [49, 81, 48]) => Command::QrPrint,
        (b'L', [48, 112, ..]) => graphics(body),
        (b'L', [48, 2 | 50]) => Command::GraphicsPrint,
        (b'H', [48, 48, a, b, c, d]) => Command::ProcessId([*a, *b, *c, *d]),
        _ => Command::Unknown(bytes[..5].to_vec()),
    };
    Some(Parsed::Command(command, 5 + length))
}

/// `GS 8 L p1 p2 p3 p4 …`: as `GS ( L` with a longer count.
fn counted_long(bytes: &[u8]) -> Option<Parsed> {
    let &[_, _, kind, a, b, c, d] = bytes.get(..7)? else { return None };
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    let body = bytes.get(7..7usize.checked_add(length)?)?;
    let known = kind == b'L' && body.starts_with(&[48, 112]);
    let command = if known { graphics(body) } else { Command::Unknown(bytes[..7].to_vec()) };
    Some(Parsed::Command(command, 7 + length))
}

/// `48 112 a bx by c xL xH yL yH data`.
fn graphics(body: &[u8]) -> Command {
    match body {
        [48, 112, 48, _, _, 49, x_low, x_high, _, _, data @ ..] => {
            Command::GraphicsStore { width: u16::from_le_bytes([*x_low, *x_high]), data: data.to_vec() }
        }
        _ => Command::Unknown(body.iter().copied().take(10).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Command) {
        assert_eq!(first_command(bytes), Parsed::Command(expected, bytes.len()));
        // Every beginning of it asks for more.
        for end in 0..bytes.len() {
            assert_eq!(first_command(&bytes[..end]), Parsed::Incomplete, "{:02x?}", &bytes[..end]);
        }
    }

    #[test]
    fn commands_are_read_whole_or_not_at_all() {
        check(b"\x1b@", Command::Initialise);
        check(b"\x1bt\x13", Command::CodePage(19));
        check(b"\x1d!\x11", Command::Size { width: 2, height: 2 });
        check(b"\x1dVA\x01", Command::Cut { partial: false });
        check(b"\x1bp\x00\x32\x64", Command::Kick { pin: 0 });
        check(b"\x1dkC\x0d4006381333931", Command::Barcode { system: 67, data: b"4006381333931".to_vec() });
        check(
            b"\x1dk\x024006381333931\x00",
            Command::Barcode { system: 67, data: b"4006381333931".to_vec() },
        );
        check(b"\x1d(k\x06\x001P0abc", Command::QrStore(b"abc".to_vec()));
        check(b"\x1d(H\x06\x000000A7", Command::ProcessId(*b"00A7"));
        check(
            b"\x1dv0\x00\x01\x00\x02\x00\xf0\x0f",
            Command::Raster { row_bytes: 1, data: vec![0xf0, 0x0f] },
        );
        let stored = Command::GraphicsStore { width: 8, data: vec![0xf0] };
        check(b"\x1d(L\x0b\x00\x30\x70\x30\x01\x01\x31\x08\x00\x01\x00\xf0", stored.clone());
        check(b"\x1d8L\x0b\x00\x00\x00\x30\x70\x30\x01\x01\x31\x08\x00\x01\x00\xf0", stored);
        check(b"\x1d(L\x02\x00\x30\x32", Command::GraphicsPrint);
        check(b"\x1bB\x02\x03", Command::Beep);
        check(b"\x1b(A\x04\x000\x01\x02\x05", Command::Beep);
        check(b"\x1b!\x38", Command::PrintMode(0x38));
        check(b"\x10\x04\x01", Command::Ignored);
        check(b"\x10\x14\x01\x00\x01", Command::Ignored);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_stand_still() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let bytes = [a, b, a, b, 0, 0, a, 0, 0, b];
                let mut rest = &bytes[..];
                while let Parsed::Command(_, length) = first_command(rest) {
                    assert!(length > 0);
                    rest = &rest[length..];
                }
            }
        }
    }
}

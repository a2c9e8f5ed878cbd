//! What USB numbers say in words. Numbers and makers are those of the public list usb.ids (Debian's package of that
//! name). Pure.

/// Makers of barcode scanners. Some make other things too: what they make that types is a scanner all the same.
const SCANNER_MAKERS: &[u16] = &[
    0x0536, // Hand Held Products (now Honeywell)
    0x05e0, // Symbol Technologies (now Zebra)
    0x05f9, // PSC Scanning (now Datalogic)
    0x065a, // Optoelectronics (Opticon)
    0x080c, // Datalogic
    0x0c2e, // Metrologic (now Honeywell)
    0x1eab, // Newland
];

/// Chips that turn USB into a serial line. What is behind them they do not tell.
const SERIAL_CHIPS: &[(u16, &[u16], &str)] = &[
    (0x0403, &[0x6001, 0x6010, 0x6011, 0x6014, 0x6015], "USB serial adapter (FTDI)"),
    (0x10c4, &[0xea60, 0xea61, 0xea63, 0xea70, 0xea71], "USB serial adapter (CP210x)"),
    (0x1a86, &[0x5523, 0x7522, 0x7523, 0x7584], "USB serial adapter (CH340)"),
    (0x067b, &[0x2303], "USB serial adapter (PL2303)"),
];

/// Is what types here a scanner? By its maker, or by what it calls itself; many say neither.
pub(super) fn is_scanner(vendor: Option<u16>, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    vendor.is_some_and(|vendor| SCANNER_MAKERS.contains(&vendor))
        || ["scanner", "barcode", "bar code"].iter().any(|word| name.contains(word))
}

/// What a USB serial device is, by its numbers.
pub(super) fn serial_words(vendor: u16, product: u16) -> &'static str {
    let chip =
        SERIAL_CHIPS.iter().find(|(maker, products, _)| *maker == vendor && products.contains(&product));
    match chip {
        Some((_, _, words)) => words,
        None if SCANNER_MAKERS.contains(&vendor) => "barcode scanner on USB serial",
        None => "USB serial device",
    }
}

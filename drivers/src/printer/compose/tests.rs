use pestle_domain::document::{Block, Fnc3};

use super::*;
use crate::printer::{model::PrinterModels, raster::real_time_command_at, render::fonts::Fonts};

fn model(name: &str) -> PrinterModel {
    PrinterModels::built_in().unwrap().get(name).unwrap().clone()
}

fn composed_for(blocks: Vec<Block>, model: &PrinterModel, artwork: &Artwork) -> Composed {
    let document = Document { blocks, ..Document::new("test") };
    compose(&document, model, artwork).unwrap()
}

fn composed(blocks: Vec<Block>, name: &str) -> Composed {
    composed_for(blocks, &model(name), &Artwork::default())
}

fn text(text: &str) -> Block {
    Block::Text { text: text.into(), style: Style::default() }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

const RASTER: &[u8] = b"\x1dv0\x00";

#[test]
fn a_line_of_text_is_initialisation_code_page_and_bytes_of_that_page() {
    assert_eq!(composed(vec![text("5 €")], "epson-tm-t20").bytes, b"\x1b@\x1bt\x135 \xd5\n");
}

#[test]
fn a_line_that_another_page_has_is_printed_in_that_page() {
    let both = composed(vec![text("Ждём"), text("Łódź")], "epson-tm-t20");
    assert_eq!(both.bytes, b"\x1b@\x1bt\x13\x1bt\x2e\xc6\xe4\xb8\xec\n\x1bt\x2d\xa3\xf3d\x9f\n");
    assert_eq!(both.replaced, []);
}

#[test]
fn a_line_that_no_page_has_is_drawn_in_its_place_and_nothing_is_replaced() {
    for line in ["漢字 500 mg", "عربي 500", "हिन्दी"] {
        let composed = composed(vec![text("before"), text(line), text("after")], "epson-tm-t20");
        assert_eq!(composed.replaced, [], "{line}");
        assert!(
            has(&composed.bytes, RASTER)
                && has(&composed.bytes, b"before\n")
                && has(&composed.bytes, b"after\n")
        );
    }
    let euro = composed(vec![text("5 €")], "one-way-80");
    assert!(has(&euro.bytes, RASTER) && euro.replaced.is_empty());
}

#[test]
fn what_no_font_has_is_told_and_a_box_on_paper() {
    let composed = composed(vec![text("a\u{e000}")], "epson-tm-t20");
    assert_eq!(composed.replaced, [Replaced { wanted: '\u{e000}', printed: "□".into(), times: 1 }]);
}

#[test]
fn without_images_or_fonts_a_stand_in_is_printed_and_told() {
    let mut textual = model("one-way-80");
    textual.raster.command = RasterCommand::None;
    let told = [Replaced { wanted: '€', printed: "?".into(), times: 1 }];
    let composed = composed_for(vec![text("5 €")], &textual, &Artwork::default());
    assert_eq!((composed.bytes.ends_with(b"5 ?\n"), &composed.replaced[..]), (true, &told[..]));
    // Latin has letters without a font file, Chinese has not.
    let bare = Artwork { fonts: Fonts::in_folders([]), ..Artwork::default() };
    let euro = composed_for(vec![text("5 €")], &model("one-way-80"), &bare);
    assert!(has(&euro.bytes, RASTER) && euro.replaced.is_empty());
    let chinese = composed_for(vec![text("漢")], &model("one-way-80"), &bare);
    assert_eq!(chinese.replaced, [Replaced { wanted: '漢', printed: "?".into(), times: 1 }]);
}

#[test]
fn a_drawn_line_stands_where_the_printers_own_would() {
    let row = Block::Columns { left: "漢字".into(), right: "20.00".into(), bold: false };
    let bytes = composed(vec![row], "epson-tm-t88").bytes;
    let at = bytes.windows(4).position(|window| window == RASTER).unwrap();
    // 42 columns of 12 dots are 504, eight a byte.
    assert_eq!(bytes[at + 4..at + 6], [63, 0]);
}

fn symbols() -> Vec<Block> {
    vec![
        Block::Qr { data: "act".into() },
        Block::Ean13 { data: "9521234543213".into() },
        Block::Ean8 { data: "96385074".into() },
        Block::Code128 { data: "T1-1042".into() },
        Block::Gs1Barcode { data: "10AB1\u{1d}2101".into() },
        Block::ScannerCode { data: "B001".into(), fnc3: Fnc3::First },
        Block::DataMatrix { data: "0109521234543213".into() },
    ]
}

#[test]
fn a_model_draws_the_codes_that_it_can_and_is_sent_images_of_the_others() {
    let count =
        |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).filter(|window| *window == part).count();
    // The DataMatrix alone, in two pieces of 64 rows.
    let epson = composed(symbols(), "epson-tm-t20").bytes;
    assert_eq!((count(&epson, RASTER), count(&epson, b"\x1dkI"), count(&epson, b"\x1dkC")), (2, 3, 1));
    assert!(has(&epson, b"(10)AB1(21)01\n"), "its own text has no brackets");
    let clone = composed(symbols(), "generic-58").bytes;
    assert_eq!((count(&clone, b"\x1dk"), has(&clone, b"\x1d(k")), (0, false));
    assert!(count(&clone, RASTER) >= 7);
}

#[test]
fn a_code_that_does_not_fit_the_paper_is_refused_before_anything_is_sent() {
    let long = Block::Code128 { data: "abcdefghijklmnopqrstuvwxyz".into() };
    let document = Document { blocks: vec![text("before"), long], ..Document::new("test") };
    for name in ["generic-58", "sunmi-v2"] {
        let error = compose(&document, &model(name), &Artwork::default()).unwrap_err();
        assert!(matches!(error, ComposeError::Symbol(SymbolError::TooWide { .. })), "{name}: {error}");
    }
}

#[test]
fn no_job_holds_a_real_time_command() {
    for number in 0..200 {
        let data = format!("0109521234543213{}21{number}", "10ABC\u{1d}");
        // 16 and 04, as a pair of digits each, are its bytes.
        let pairs = Block::Code128 { data: format!("16041605162{number:03}") };
        let blocks = vec![Block::DataMatrix { data }, Block::Rule, pairs, text("漢字"), Block::Cut];
        assert_eq!(real_time_command_at(&composed(blocks, "epson-tm-t20").bytes), None, "{number}");
    }
}

#[test]
fn a_missing_logo_is_told_and_the_receipt_is_printed() {
    let composed = composed(vec![Block::Picture { name: "logo".into() }, text("Receipt 7")], "epson-tm-t20");
    assert_eq!(composed.missing_pictures[0].name, "logo");
    assert!(has(&composed.bytes, b"Receipt 7\n"));
}

#[test]
fn a_printer_without_a_cutter_feeds_to_its_tear_bar() {
    assert!(composed(vec![Block::Cut], "generic-58").bytes.ends_with(&[0x1b, b'd', TEAR_OFF_LINES]));
    assert!(composed(vec![Block::Cut], "epson-tm-t20").bytes.ends_with(&[0x1d, b'V', 66, 0]));
}

//! Codes: read back by zxing-cpp from every way in which we draw them, and drawn alike by bwip-js.

use pestle_domain::document::{Block, Document, Fnc3};
use pestle_drivers::{
    printer::{
        compose::compose,
        model::PrinterModels,
        render::{Artwork, Canvas, draw},
        symbols::{Shape, shape},
    },
    sim::printer::paper_of,
};

use super::{codes_in, node};
use crate::receipts;

fn preview(document: &Document, canvas: Canvas) -> Vec<u8> {
    let drawn = draw(document, &canvas, &Artwork::default()).unwrap();
    drawn.bitmap.png(canvas.dots_per_mm()).unwrap()
}

fn paper(document: &Document, model: &str) -> Vec<u8> {
    let models = PrinterModels::built_in().unwrap();
    let model = models.get(model).unwrap();
    let composed = compose(document, model, &Artwork::default()).unwrap();
    paper_of(&composed.bytes, model.dots).png().unwrap()
}

/// How a scanner announces it (ISO/IEC 15424), and what it says.
fn announced(block: &Block) -> (String, String) {
    let (identifier, data) = match block {
        Block::Qr { data } => ("]Q1", data),
        Block::Ean13 { data } => ("]E0", data),
        Block::Ean8 { data } => ("]E4", data),
        Block::Code128 { data } | Block::ScannerCode { data, .. } => ("]C0", data),
        Block::Gs1Barcode { data } => ("]C1", data),
        Block::DataMatrix { data } => ("]d2", data),
        other => panic!("{other:?} is no code"),
    };
    (identifier.to_owned(), data.clone())
}

fn expected(document: &Document) -> Vec<(String, String)> {
    document.blocks.iter().filter(|block| block.symbol().is_some()).map(announced).collect()
}

#[tokio::test]
async fn every_code_of_a_receipt_is_read_from_its_preview_from_a_printers_own_drawing_and_from_images() {
    let document = receipts::symbols();
    let mut pictures = vec![
        preview(&document, Canvas::strip(576, 203, 48)),
        preview(&document, Canvas::strip(512, 180, 42)),
        preview(&document, Canvas::strip(900, 300, 48)),
    ];
    pictures.extend(
        ["epson-tm-t20", "epson-tm-t88", "generic-80", "generic-58"].map(|model| paper(&document, model)),
    );
    for (number, codes) in codes_in(&pictures).await.into_iter().enumerate() {
        assert_eq!(codes, expected(&document), "picture {number}");
    }
}

/// Every character of ASCII, runs of digits of every length, and functions.
fn many() -> Vec<Block> {
    let mut blocks: Vec<Block> = (0..8u8)
        .map(|part| Block::ScannerCode {
            data: (part * 16..part * 16 + 16).map(char::from).collect(),
            fnc3: if part % 2 == 0 { Fnc3::First } else { Fnc3::Last },
        })
        .collect();
    for digits in 1..=12 {
        blocks.push(Block::Code128 { data: "1604051020304"[..digits].to_owned() });
        blocks.push(Block::Code128 { data: format!("a{}Z", &"9876543210987"[..digits]) });
        blocks.push(Block::Gs1Barcode { data: format!("10{}\u{1d}21{digits}", &"160416051620"[..digits]) });
        blocks.push(Block::DataMatrix { data: format!("10L{digits}\u{1d}21{}", "S".repeat(digits)) });
        blocks.push(Block::Qr { data: "ä漢字0123456789".repeat(digits) });
    }
    for first in 0..10 {
        let data = format!("{first}12345678901");
        let weighed = data.bytes().map(|b| u32::from(b - b'0')).zip([1, 3].into_iter().cycle());
        let sum: u32 = weighed.map(|(digit, weight)| digit * weight).sum();
        blocks.push(Block::Ean13 { data: format!("{data}{}", (10 - sum % 10) % 10) });
    }
    blocks
}

#[tokio::test]
async fn codes_of_all_characters_and_lengths_are_read_back_by_another_program() {
    let documents: Vec<Document> = many()
        .into_iter()
        .map(|block| Document { blocks: vec![block, Block::Cut], ..Document::new("t") })
        .collect();
    let pictures: Vec<Vec<u8>> = documents
        .iter()
        .enumerate()
        .map(|(number, document)| match number % 3 {
            0 => preview(document, Canvas::strip(576, 203, 48)),
            1 => paper(document, "epson-tm-t20"),
            _ => paper(document, "one-way-80"),
        })
        .collect();
    let read = codes_in(&pictures).await;
    assert_eq!(read.len(), documents.len());
    for (codes, document) in read.iter().zip(&documents) {
        assert_eq!(*codes, expected(document));
    }
}

/// Our modules as rows of 0 and 1.
fn modules(block: &Block) -> Vec<String> {
    let row = |row: &[bool]| row.iter().map(|black| if *black { '1' } else { '0' }).collect();
    match shape(&block.symbol().unwrap()).unwrap() {
        Shape::Bars { modules, .. } => vec![row(&modules)],
        Shape::Matrix { modules, .. } => modules.rows().map(row).collect(),
    }
}

async fn drawn_by_bwip_js(codes: &[(&str, &str)]) -> Vec<Vec<String>> {
    let line =
        |(kind, data): &(&str, &str)| serde_json::json!({ "kind": kind, "data": data }).to_string() + "\n";
    let drawn = node("draw_codes.js", &codes.iter().map(line).collect::<String>()).await;
    drawn.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn another_program_draws_the_same_modules() {
    let text = |data: &str| data.to_owned();
    let codes = [
        ("ean13", "9521234543213", Block::Ean13 { data: text("9521234543213") }),
        ("ean13", "4006381333931", Block::Ean13 { data: text("4006381333931") }),
        ("ean8", "96385074", Block::Ean8 { data: text("96385074") }),
        ("code128", "Pestle", Block::Code128 { data: text("Pestle") }),
        ("code128", "123456", Block::Code128 { data: text("123456") }),
        ("code128", "ab123456", Block::Code128 { data: text("ab123456") }),
        ("gs1_128", "(01)09521234543213(10)A1", Block::Gs1Barcode { data: text("010952123454321310A1") }),
        ("scanner", "^FNC3B0010", Block::ScannerCode { data: text("B0010"), fnc3: Fnc3::First }),
        ("scanner", "~DEFALT.^FNC3", Block::ScannerCode { data: text("~DEFALT."), fnc3: Fnc3::Last }),
        (
            "data_matrix",
            "(01)09521234543213(17)261231",
            Block::DataMatrix { data: text("010952123454321317261231") },
        ),
    ];
    let asked: Vec<(&str, &str)> = codes.iter().map(|(kind, data, _)| (*kind, *data)).collect();
    for ((kind, data, block), theirs) in codes.iter().zip(drawn_by_bwip_js(&asked).await) {
        assert_eq!(modules(block), theirs, "{kind} {data}");
    }
}

/// Which of eight masks is best is a matter of penalties that encoders weigh differently (ISO/IEC 18004, 7.8.3), and letters
/// in a DataMatrix may be encoded in several ways: the size is the same, and what is drawn is read back by the tests above.
#[tokio::test]
async fn another_program_draws_squares_of_the_same_size() {
    for (theirs, ours) in [
        ("(01)09521234543213(10)A1(21)7", "010952123454321310A1\u{1d}217"),
        ("(01)09521234543213(10)ABC123", "010952123454321310ABC123"),
    ] {
        let theirs = drawn_by_bwip_js(&[("data_matrix", theirs)]).await.remove(0);
        assert_eq!(modules(&Block::DataMatrix { data: ours.into() }).len(), theirs.len(), "{ours:?}");
    }
    for data in ["act", "0192f0c1-7d3a-7000-8000-0123456789ab", "HTTPS://EXAMPLE.ORG/1042"] {
        let theirs = drawn_by_bwip_js(&[("qr", data)]).await.remove(0);
        assert_eq!(modules(&Block::Qr { data: data.into() }).len(), theirs.len(), "{data}");
    }
}

//! How fast a receipt becomes bytes, beside python-escpos on the same content.

use std::time::Instant;

use pestle_domain::document::{Block, Document};
use pestle_drivers::printer::{compose::compose, model::PrinterModels, render::Artwork};

use super::python;

/// As `measure.py` writes it.
fn receipt() -> Document {
    let row = |number: usize| Block::Columns {
        left: format!("Paracetamol 500 mg, line {number}"),
        right: "3.20 €".into(),
        bold: false,
    };
    let mut blocks = vec![Block::Heading { text: "Old Town Pharmacy".into() }];
    blocks.extend((0..30).map(row));
    blocks.push(Block::Total { label: "Total".into(), amount: "96.00 €".into(), strong: true });
    blocks.push(Block::Qr { data: "https://pharmacy.example/r/1042".into() });
    blocks.push(Block::Cut);
    Document { blocks, ..Document::new("Receipt") }
}

fn nanoseconds(times: u32) -> u128 {
    let models = PrinterModels::built_in().unwrap();
    let (model, artwork, document) = (models.get("epson-tm-t20").unwrap(), Artwork::default(), receipt());
    let began = Instant::now();
    for _ in 0..times {
        assert!(compose(&document, model, &artwork).unwrap().bytes.len() > 30 * 48);
    }
    began.elapsed().as_nanos() / u128::from(times)
}

/// The bound of the finished program, 20 times, is measured by `make bench FIGURES=receipt`. This one is built without optimisation, on a
/// machine that does other things: of five rounds each, in turn, our best is not slower than the other program's.
#[tokio::test]
async fn a_receipt_is_not_composed_more_slowly_than_by_python_escpos() {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        ours.push(nanoseconds(20));
        theirs.push(python("measure.py", &["line-by-line", "1", "20"]).await.trim().parse::<u128>().unwrap());
    }
    ours.sort_unstable();
    theirs.sort_unstable();
    println!("ns a receipt, sorted: ours {ours:?}, python-escpos {theirs:?}");
    assert!(ours[0] < theirs[0], "ns a receipt: ours {ours:?}, python-escpos {theirs:?}");
}

//! Our ESC/POS, taken apart by npos.

use pestle_domain::document::{Block, Document};
use pestle_drivers::{
    printer::{compose::compose, model::PrinterModels, render::Artwork},
    sim::printer::paper_of,
};

use super::{bytes_of, node};
use crate::receipts;

#[derive(serde::Deserialize)]
struct Decoded {
    commands: Vec<String>,
    text: Vec<String>,
    pictures: Vec<Vec<String>>,
}

async fn decoded(bytes: &[u8]) -> Decoded {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::from_str(&node("decode.js", &hex).await).unwrap()
}

fn composed(document: &Document, model: &str) -> (Vec<u8>, u16) {
    let models = PrinterModels::built_in().unwrap();
    let model = models.get(model).unwrap();
    (compose(document, model, &Artwork::default()).unwrap().bytes, model.dots)
}

#[tokio::test]
async fn another_decoder_finds_the_same_text_in_our_receipt() {
    let (bytes, dots) = composed(&receipts::latin(), "generic-80");
    let decoded = decoded(&bytes).await;
    let theirs = decoded.text.iter().map(|hex| bytes_of(hex)).collect::<Vec<_>>().concat();
    // Of code page 858 they are told the bytes: € is D5, × is 9E.
    let theirs: String = theirs
        .iter()
        .map(|byte| match byte {
            0xd5 => '€',
            0x9e => '×',
            0xc4 => '─',
            byte => char::from(*byte),
        })
        .collect();
    let theirs: Vec<&str> = theirs.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    assert_eq!(theirs, paper_of(&bytes, dots).lines());
    assert_eq!(decoded.commands.last().map(String::as_str), Some("GSV"));
}

#[tokio::test]
async fn another_decoder_finds_the_same_dots_in_our_images() {
    for document in [receipts::scripts(), receipts::symbols()] {
        // Text between them, so that each picture is one by itself for both.
        let blocks = document
            .blocks
            .iter()
            .flat_map(|block| [block.clone(), Block::Text { text: "and".into(), style: Default::default() }]);
        let document = Document { blocks: blocks.collect(), ..Document::new("test") };
        let (bytes, dots) = composed(&document, "generic-58");
        let theirs: String = decoded(&bytes).await.pictures.concat().concat();
        let paper = paper_of(&bytes, dots);
        assert!(paper.images().len() >= 7);
        let mut ours = String::new();
        for image in paper.images() {
            for y in 0..image.height() {
                ours.extend((0..image.width()).map(|x| if image.get(x, y) { '1' } else { '0' }));
            }
        }
        assert!(ours == theirs, "{} dots are ours, {} theirs", ours.len(), theirs.len());
    }
}

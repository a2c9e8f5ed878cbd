//! Draws three receipts as PNG into a folder, as the preview shows them and as two printers put them on paper:
//! `cargo run -p pestle-drivers --features sim --example draw_receipts -- FOLDER`.

#[path = "../tests/it/receipts.rs"]
mod receipts;

use std::{error::Error, path::PathBuf};

use pestle_drivers::{
    printer::{
        compose::compose,
        model::PrinterModels,
        render::{Artwork, Canvas, draw},
    },
    sim::printer::paper_of,
};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map(PathBuf::from).ok_or("give a folder for the pictures")?;
    let artwork = Artwork::default();
    let models = PrinterModels::built_in()?;
    for (name, document) in
        [("latin", receipts::latin()), ("scripts", receipts::scripts()), ("symbols", receipts::symbols())]
    {
        let drawn = draw(&document, &Canvas::strip(576, 203, 48), &artwork)?;
        std::fs::write(folder.join(format!("{name}.png")), drawn.bitmap.png(8)?)?;
        for model in ["epson-tm-t20", "generic-58"] {
            let known = models.get(model)?;
            let composed = compose(&document, known, &artwork)?;
            let paper = paper_of(&composed.bytes, known.dots);
            std::fs::write(folder.join(format!("{name}-{model}.png")), paper.png()?)?;
        }
    }
    Ok(())
}

//! What stands on the paper.

use crate::printer::{bitmap::Bitmap, symbols::code128::Element};

/// A piece of paper that came out of the printer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// From top to bottom.
    pub items: Vec<PrintedItem>,
    /// How it ends.
    pub end: ReceiptEnd,
    /// Printable dots across the paper.
    pub dots: u16,
}

/// How a piece of paper ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptEnd {
    /// Cut through.
    FullCut,
    /// Cut but for a bridge.
    PartialCut,
    /// It still hangs in the printer.
    Hanging,
    /// Power went in the middle: what was printed was torn off, the rest is lost.
    TornOff,
}

/// One thing on the paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrintedItem {
    /// A line of text.
    Line {
        /// Parts of one look each; none for an empty line.
        spans: Vec<Span>,
        /// Where it stands.
        align: PaperAlign,
    },
    /// White paper, in dots.
    Feed(u16),
    /// A QR code.
    Qr {
        /// What it holds.
        data: Vec<u8>,
        /// Dots a module.
        module: u8,
        /// Where it stands.
        align: PaperAlign,
    },
    /// A linear barcode.
    Barcode {
        /// 67 is EAN-13, 68 EAN-8, 73 Code 128.
        system: u8,
        /// What it says; Code 128's code set selection is taken off.
        text: String,
        /// What a Code 128 is made of.
        elements: Vec<Element>,
        /// Height in dots.
        height: u8,
        /// Dots a module.
        module: u8,
        /// Its text is printed below it.
        text_below: bool,
        /// Where it stands.
        align: PaperAlign,
    },
    /// An image.
    Image {
        /// The picture.
        bitmap: Bitmap,
        /// Where it stands.
        align: PaperAlign,
    },
}

/// Where something stands on the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PaperAlign {
    /// At the left edge.
    #[default]
    Left,
    /// In the middle.
    Centre,
    /// At the right edge.
    Right,
}

/// Text of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The characters.
    pub text: String,
    /// How they look.
    pub look: Look,
}

/// How characters look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Bold.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// Times as wide as normal.
    pub width: u8,
    /// Times as high as normal.
    pub height: u8,
}

impl Default for Look {
    fn default() -> Look {
        Look { bold: false, underline: false, width: 1, height: 1 }
    }
}

impl Receipt {
    /// The lines of text, without blanks at their ends and without empty lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |item: &PrintedItem| match item {
            PrintedItem::Line { spans, .. } => {
                let text: String = spans.iter().map(|span| span.text.as_str()).collect();
                Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
            }
            _ => None,
        };
        self.items.iter().filter_map(line).collect()
    }

    /// The lines of text as one string.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// What the QR codes hold.
    #[must_use]
    pub fn qr_codes(&self) -> Vec<String> {
        let code = |item: &PrintedItem| match item {
            PrintedItem::Qr { data, .. } => Some(String::from_utf8_lossy(data).into_owned()),
            _ => None,
        };
        self.items.iter().filter_map(code).collect()
    }

    /// What the linear barcodes say.
    #[must_use]
    pub fn barcodes(&self) -> Vec<String> {
        let code = |item: &PrintedItem| match item {
            PrintedItem::Barcode { text, .. } => Some(text.clone()),
            _ => None,
        };
        self.items.iter().filter_map(code).collect()
    }

    /// The images.
    #[must_use]
    pub fn images(&self) -> Vec<&Bitmap> {
        fn image(item: &PrintedItem) -> Option<&Bitmap> {
            match item {
                PrintedItem::Image { bitmap, .. } => Some(bitmap),
                _ => None,
            }
        }
        self.items.iter().filter_map(image).collect()
    }
}

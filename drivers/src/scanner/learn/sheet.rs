//! The page of test codes. Pure.
//!
//! Four codes: a Code 128 for what stands around the data, two GS1 DataMatrix for the separator and the layout (between
//! them they hold characters in which any two layouts differ), an EAN-13 for the packs that have no more. Their numbers
//! are of GS1's demonstration prefix 952, which no product has.

use std::fmt;

use pestle_domain::document::{Align, Block, Document, Size, Style};
use serde::{Deserialize, Serialize};

/// One of the codes on the sheet, in the order in which they are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestCode {
    /// Code 128.
    A,
    /// GS1 DataMatrix.
    B,
    /// Another GS1 DataMatrix.
    C,
    /// EAN-13.
    D,
}

impl TestCode {
    /// All of them.
    pub const ALL: [TestCode; 4] = [TestCode::A, TestCode::B, TestCode::C, TestCode::D];

    /// What it holds, cut at its separators.
    #[must_use]
    pub fn parts(self) -> &'static [&'static str] {
        match self {
            TestCode::A => &["PESTLE1/z-y&Q_\"(a)=?"],
            TestCode::B => &["01095212345432131729123110Zy-1\"_", "21aQ/&?m", "91!%'()*+,.:;<=>wWM0"],
            TestCode::C => &["01095212345432061730063010q7:A;z", "21Zz+M\"/", "92a_Q&(w)=?'-"],
            TestCode::D => &["9529876543219"],
        }
    }

    /// What it holds, separators as GS.
    #[must_use]
    pub fn data(self) -> String {
        self.parts().join("\u{1d}")
    }

    /// Does it hold separators?
    #[must_use]
    pub fn has_separators(self) -> bool {
        self.parts().len() > 1
    }

    /// The symbology identifier of its symbol.
    #[must_use]
    pub fn symbology_id(self) -> &'static str {
        match self {
            TestCode::A => "]C0",
            TestCode::B | TestCode::C => "]d2",
            TestCode::D => "]E0",
        }
    }

    /// Its symbol.
    #[must_use]
    pub fn block(self) -> Block {
        let data = self.data();
        match self {
            TestCode::A => Block::Code128 { data },
            TestCode::B | TestCode::C => Block::DataMatrix { data },
            TestCode::D => Block::Ean13 { data },
        }
    }
}

impl fmt::Display for TestCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TestCode::A => "A",
            TestCode::B => "B",
            TestCode::C => "C",
            TestCode::D => "D",
        })
    }
}

/// The page, for a receipt printer or any other.
#[must_use]
pub fn sheet() -> Document {
    let text = |text: &str| Block::Text { text: text.to_owned(), style: Style::default() };
    let mut blocks = vec![
        Block::Heading { text: "Scanner test codes".to_owned() },
        text(
            "Choose the scanner on the box's page for devices and start learning there. Then scan A, B, C and D, one after \
             the other, as the page asks for them. Cover the other codes with a hand.",
        ),
    ];
    for code in TestCode::ALL {
        blocks.push(Block::Rule);
        let style = Style { align: Align::Centre, bold: true, size: Size::Double, ..Style::default() };
        blocks.push(Block::Text { text: code.to_string(), style });
        blocks.push(code.block());
        blocks.push(Block::Feed { lines: 2 });
    }
    blocks.extend([Block::Rule, text("No product has these numbers."), Block::Cut]);
    Document { blocks, ..Document::new("Scanner test codes") }
}

#[cfg(test)]
mod tests {
    use pestle_domain::gs1::Scan;

    use super::*;

    #[test]
    fn the_sheet_can_be_printed() {
        assert_eq!(sheet().check(), Ok(()));
    }

    #[test]
    fn the_codes_are_what_they_are_said_to_be() {
        for code in [TestCode::B, TestCode::C] {
            let scan = Scan::parse(code.data().as_bytes()).unwrap();
            assert!(scan.gtin().is_some() && scan.lot().is_some() && scan.serial().is_some(), "{code}");
            assert_eq!(code.parts().len(), 3, "two places where a separator is needed");
        }
        assert!(Scan::parse(TestCode::D.data().as_bytes()).unwrap().gtin().is_some());
    }

    #[test]
    fn no_code_is_found_within_another() {
        for one in TestCode::ALL {
            for other in TestCode::ALL.into_iter().filter(|other| *other != one) {
                let bare = one.parts().concat();
                assert!(!bare.contains(other.parts()[0]), "{other} in {one}");
            }
        }
    }
}

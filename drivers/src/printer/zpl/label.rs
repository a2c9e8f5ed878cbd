//! A drawn label as a ZPL format. Pure.
//!
//! Zebra's ZPL programming guide, each command by its name. Every format states all settings that it depends on, so that
//! a printer that was used by another program, or lost its settings, prints it all the same.

use super::{
    super::bitmap::Bitmap,
    graphic,
    model::{LabelStock, Method, Tracking},
};

/// The bytes that print `picture` on one label.
#[must_use]
pub fn format(picture: &Bitmap, stock: &LabelStock) -> Vec<u8> {
    let tracking = match stock.tracking {
        Tracking::Gap => 'Y',
        Tracking::Mark => 'M',
        Tracking::Continuous => 'N',
    };
    let method = match stock.method {
        Method::Direct => 'D',
        Method::Transfer => 'T',
    };
    let speed = stock.speed.map(|speed| format!("^PR{speed}")).unwrap_or_default();
    let (width, height) = (picture.width(), picture.height());
    // ^LL must come before the first ^FS to count for this label.
    let head = format!("^XA^MN{tracking}^MT{method}{speed}^PW{width}^LL{height}^LH0,0^PON\n");
    let body = graphic::fields(picture);
    [head.as_bytes(), body.as_bytes(), b"^PQ1^XZ\n"].concat()
}

/// What is sent once, after the line was opened: the darkness, which is no part of a format.
#[must_use]
pub fn opening(stock: &LabelStock) -> Vec<u8> {
    stock.darkness.map(|darkness| format!("~SD{darkness:02}\r\n").into_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_states_all_that_it_depends_on() {
        let stock = LabelStock {
            tracking: Tracking::Mark,
            method: Method::Transfer,
            darkness: Some(7),
            speed: Some(3),
            ..LabelStock::new("70x35".parse().unwrap())
        };
        let text = String::from_utf8(format(&Bitmap::new(16, 2), &stock)).unwrap();
        assert_eq!(text, "^XA^MNM^MTT^PR3^PW16^LL2^LH0,0^PON\n^FO0,0^GFA,4,4,2,,:^FS\n^PQ1^XZ\n");
        assert_eq!(opening(&stock), b"~SD07\r\n");
        assert_eq!(opening(&LabelStock { darkness: None, ..stock }), b"");
    }
}

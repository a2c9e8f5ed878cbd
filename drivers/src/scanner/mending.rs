//! What can be done with makers' codes for one scanner: nobody knows whose it is, so each maker is told. Pure.

use super::programming::{Comes, Form, Maker, Makers, Purpose};

/// What a maker's codes can do for a scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakersWays {
    /// In addresses and commands.
    pub name: String,
    /// What a person reads.
    pub title: String,
    /// Never empty.
    pub ways: Vec<Way>,
}

/// How a person has a scanner do one thing. At least one of the three can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The thing.
    pub purpose: Purpose,
    /// Its code stands on the sheet with the maker's codes.
    pub printed: bool,
    /// Its command can be sent over the scanner's line.
    pub over_line: bool,
    /// Names of its codes in the maker's manual.
    pub look_up: Vec<String>,
    /// What to know before.
    pub notes: Vec<String>,
}

impl MakersWays {
    /// There is a sheet with codes of this maker, and one of these stands on it.
    #[must_use]
    pub fn printed(&self) -> bool {
        self.ways.iter().any(|way| way.printed)
    }
}

/// All that the known codes can do for a scanner that comes so.
#[must_use]
pub fn all(makers: &Makers, comes: Comes) -> Vec<MakersWays> {
    ways(makers, &Purpose::ALL, comes)
}

/// What of these a scanner that comes so needs, in this order. What it is already mends nothing.
#[must_use]
pub fn mending(makers: &Makers, purposes: &[Purpose], comes: Comes) -> Vec<MakersWays> {
    let is_so = match comes {
        Comes::OverLine => Purpose::UsbSerial,
        Comes::AsKeys => Purpose::UsbKeyboard,
    };
    let needed: Vec<Purpose> = purposes.iter().copied().filter(|purpose| *purpose != is_so).collect();
    ways(makers, &needed, comes)
}

fn ways(makers: &Makers, purposes: &[Purpose], comes: Comes) -> Vec<MakersWays> {
    let of_one = |maker: &Maker| {
        let ways: Vec<Way> = purposes.iter().filter_map(|purpose| way(maker, *purpose, comes)).collect();
        let (name, title) = (maker.name.clone(), maker.title.clone());
        (!ways.is_empty()).then_some(MakersWays { name, title, ways })
    };
    makers.iter().filter_map(of_one).collect()
}

fn way(maker: &Maker, purpose: Purpose, comes: Comes) -> Option<Way> {
    let mut way = Way { purpose, printed: false, over_line: false, look_up: Vec::new(), notes: Vec::new() };
    for code in maker.codes_for(purpose).filter(|code| code.only.is_none_or(|only| only == comes)) {
        match &code.form {
            Form::Printed { .. } => way.printed = true,
            // What takes a scanner off the line that is configured is a technician's to send.
            Form::Serial { .. } if comes == Comes::OverLine && purpose != Purpose::UsbKeyboard => {
                way.over_line = true;
            }
            Form::Serial { .. } => continue,
            Form::LookUp { name } => way.look_up.push(name.clone()),
        }
        way.notes.extend(code.note.clone().filter(|note| !way.notes.contains(note)));
    }
    (way.printed || way.over_line || !way.look_up.is_empty()).then_some(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: &str = r#"
        [[maker]]
        name = "a"
        title = "A"
        [[maker.code]]
        purpose = "suffix_cr"
        form = "serial"
        data = "S"
        note = "sent"
        source = "s"
        [[maker.code]]
        purpose = "suffix_cr"
        form = "look_up"
        name = "Suffix"
        note = "looked up"
        source = "s"
        [[maker.code]]
        purpose = "transmit_gs"
        form = "serial"
        data = "G"
        only = "as_keys"
        source = "s"
        [[maker.code]]
        purpose = "usb_keyboard"
        form = "serial"
        data = "K"
        source = "s"
        [[maker]]
        name = "b"
        title = "B"
        [[maker.code]]
        purpose = "usb_serial"
        form = "printed"
        data = "U"
        source = "s"
    "#;

    fn told(ways: &[MakersWays]) -> Vec<String> {
        let one = |maker: &MakersWays| {
            let ways = maker.ways.iter().map(|way| {
                let line = if way.over_line { " line" } else { "" };
                let printed = if way.printed { " sheet" } else { "" };
                format!("{}{line}{printed}{:?}{:?}", way.purpose.name(), way.look_up, way.notes)
            });
            format!("{}: {}", maker.name, ways.collect::<Vec<_>>().join(", "))
        };
        ways.iter().map(one).collect()
    }

    #[test]
    fn what_is_offered_is_what_can_be_done_with_this_scanner() {
        let makers = Makers::parse(CODES).unwrap();
        let line = all(&makers, Comes::OverLine);
        assert_eq!(
            told(&line),
            ["a: suffix_cr line[\"Suffix\"][\"sent\", \"looked up\"]", "b: usb_serial sheet[][]"]
        );
        let keys = all(&makers, Comes::AsKeys);
        assert_eq!(told(&keys), ["a: suffix_cr[\"Suffix\"][\"looked up\"]", "b: usb_serial sheet[][]"]);
        assert!(!keys[0].printed() && keys[1].printed());
    }

    #[test]
    fn a_scanner_is_not_made_what_it_is() {
        let makers = Makers::parse(CODES).unwrap();
        let needed = [Purpose::UsbSerial, Purpose::TransmitGs];
        assert_eq!(told(&mending(&makers, &needed, Comes::AsKeys)), ["b: usb_serial sheet[][]"]);
        assert_eq!(mending(&makers, &needed, Comes::OverLine), []);
    }
}

//! What can be done with makers' codes for one scanner: nobody knows whose it is, so each maker is told. Pure.

use super::programming::{Comes, Form, Maker, Makers, ProgrammingCode, Purpose};

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

/// The command that a page may send to a scanner that comes over its line; `None` where the maker has none that changes what
/// such a scanner sends, and for what makes it a keyboard: that is a technician's to send, who stands there and configures it anew.
/// (A factory default may do so too, as its note says.)
#[must_use]
pub fn command_over_line(maker: &Maker, purpose: Purpose) -> Option<&str> {
    let fits = |code: &&ProgrammingCode| code.only.is_none_or(|only| only == Comes::OverLine);
    let mut codes = maker.codes_for(purpose).filter(|_| purpose != Purpose::UsbKeyboard).filter(fits);
    codes.find_map(|code| match &code.form {
        Form::Serial { data } => Some(data.as_str()),
        Form::Printed { .. } | Form::LookUp { .. } => None,
    })
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
    way.over_line = comes == Comes::OverLine && command_over_line(maker, purpose).is_some();
    for code in maker.codes_for(purpose).filter(|code| code.only.is_none_or(|only| only == comes)) {
        match &code.form {
            Form::Printed { .. } => way.printed = true,
            Form::Serial { .. } if way.over_line => {}
            Form::Serial { .. } => continue,
            Form::LookUp { name } => way.look_up.push(name.clone()),
        }
        for note in code.notes() {
            if !way.notes.iter().any(|known| known == note) {
                way.notes.push(note.to_owned());
            }
        }
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
    fn what_may_be_sent_is_what_is_offered_over_the_line() {
        let makers = Makers::parse(CODES).unwrap();
        let offered = all(&makers, Comes::OverLine);
        for maker in makers.iter() {
            let ways = offered.iter().filter(|one| one.name == maker.name).flat_map(|one| &one.ways);
            let offered: Vec<Purpose> = ways.filter(|way| way.over_line).map(|way| way.purpose).collect();
            let sent = |purpose: &Purpose| command_over_line(maker, *purpose).is_some();
            assert_eq!(Purpose::ALL.into_iter().filter(sent).collect::<Vec<_>>(), offered, "{}", maker.name);
        }
        assert_eq!(command_over_line(makers.get("a").unwrap(), Purpose::SuffixCr), Some("S"));
        for withheld in [Purpose::UsbKeyboard, Purpose::TransmitGs] {
            assert_eq!(command_over_line(makers.get("a").unwrap(), withheld), None);
        }
    }

    #[test]
    fn a_scanner_is_not_made_what_it_is() {
        let makers = Makers::parse(CODES).unwrap();
        let needed = [Purpose::UsbSerial, Purpose::TransmitGs];
        assert_eq!(told(&mending(&makers, &needed, Comes::AsKeys)), ["b: usb_serial sheet[][]"]);
        assert_eq!(mending(&makers, &needed, Comes::OverLine), []);
    }
}

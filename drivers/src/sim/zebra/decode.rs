//! ZPL, as far as the simulated label printer understands it: written from the programming guide's descriptions, and by
//! nothing that the driver's own composer uses.

use crate::printer::bitmap::Bitmap;

/// What a host sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Carried out as it arrives: the letters after `~`, with what belongs to them.
    Control(String),
    /// `^XA`
    Begin,
    /// `^XZ`
    End,
    /// Any other `^` command: two letters, and its parameters.
    Format(String, String),
}

/// Characters after the two letters of the control commands that this printer knows.
const CONTROLS: [(&str, usize); 7] =
    [("HS", 0), ("HI", 0), ("JC", 0), ("JA", 0), ("JX", 0), ("HQ", 2), ("SD", 2)];

/// Takes bytes apart into commands.
#[derive(Debug, Default)]
pub struct Reader {
    /// From the command's first character on; empty between commands.
    partial: String,
}

impl Reader {
    /// Takes one byte; returns what it completes: at most an earlier command, and one of its own.
    pub fn push(&mut self, byte: u8) -> Vec<Command> {
        let character = char::from(byte);
        let mut done = Vec::new();
        match character {
            '^' | '~' => {
                done.extend(self.finish());
                self.partial.push(character);
                return done;
            }
            '\r' | '\n' => return done,
            _ if self.partial.is_empty() => return done,
            _ => self.partial.push(character),
        }
        let complete = match self.partial.split_at(1) {
            ("^", "XA" | "XZ") => true,
            ("~", rest) => {
                CONTROLS.iter().any(|(name, more)| rest.len() == 2 + more && rest.starts_with(name))
            }
            _ => false,
        };
        if complete {
            done.extend(self.finish());
        }
        done
    }

    fn finish(&mut self) -> Option<Command> {
        let text = std::mem::take(&mut self.partial);
        let mut characters = text.chars();
        let first = characters.next()?;
        let rest: String = characters.collect();
        Some(match (first, rest.as_str()) {
            ('~', _) => Command::Control(rest),
            (_, "XA") => Command::Begin,
            (_, "XZ") => Command::End,
            _ => {
                let at = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
                let (name, parameters) = rest.split_at(at);
                Command::Format(name.to_owned(), parameters.to_owned())
            }
        })
    }
}

/// The label that a format draws, and how often. `unknown` counts what this printer does not understand.
pub fn draw(format: &[(String, String)], head_dots: usize, unknown: &mut u64) -> (Bitmap, u32) {
    let size = |name: &str, default: usize| {
        let last = format.iter().rev().find(|(command, _)| command == name);
        last.and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
    };
    let mut label = Bitmap::new(size("PW", head_dots).min(head_dots), size("LL", 1_225));
    let (mut origin, mut copies) = ((0, 0), 1);
    for (name, parameters) in format {
        let understood = match name.as_str() {
            "FO" => pair(parameters).map(|at| origin = at).is_some(),
            "GF" => graphic(parameters, origin, &mut label).is_some(),
            "PQ" => parameters.parse().map(|count| copies = count).is_ok(),
            "LH" => pair(parameters) == Some((0, 0)),
            "PO" => parameters == "N",
            "FS" => parameters.is_empty(),
            "PW" | "LL" => parameters.parse::<u16>().is_ok(),
            "PR" => parameters.parse().is_ok_and(|speed: u8| (1..=14).contains(&speed)),
            "MN" => matches!(parameters.as_str(), "N" | "Y" | "W" | "M"),
            "MT" => matches!(parameters.as_str(), "T" | "D"),
            _ => false,
        };
        *unknown += u64::from(!understood);
    }
    (label, copies)
}

fn pair(parameters: &str) -> Option<(usize, usize)> {
    let (x, y) = parameters.split_once(',')?;
    Some((x.parse().ok()?, y.parse().ok()?))
}

/// `A,b,c,d,data`; `None` when it is not what the guide describes, or does not fill its rows exactly.
fn graphic(parameters: &str, origin: (usize, usize), label: &mut Bitmap) -> Option<()> {
    let mut fields = parameters.splitn(5, ',');
    let kind = fields.next()?;
    let mut number = || fields.next()?.parse::<usize>().ok().filter(|n| (1..=99_999).contains(n));
    let (sent, total, row_bytes) = (number()?, number()?, number()?);
    if kind != "A" || sent != total || total % row_bytes != 0 {
        return None;
    }
    let rows = unpack(fields.next()?, row_bytes * 2)?;
    if rows.len() != total / row_bytes {
        return None;
    }
    for (row, y) in rows.iter().zip(origin.1..) {
        for (x, black) in
            (origin.0..).zip(row.iter().flat_map(|nibble| (0..4).map(move |bit| nibble & (8 >> bit) != 0)))
        {
            if black {
                label.set(x, y, true);
            }
        }
    }
    Some(())
}

/// Rows of `width` hexadecimal digits.
fn unpack(data: &str, width: usize) -> Option<Vec<Vec<u8>>> {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    let mut row = Vec::with_capacity(width);
    let mut repeat = 0usize;
    for character in data.chars() {
        match character {
            'G'..='Y' => repeat += character as usize - 'F' as usize,
            'g'..='z' => repeat += 20 * (character as usize - 'f' as usize),
            ',' => row.resize(width, 0x0),
            '!' => row.resize(width, 0xf),
            ':' if row.is_empty() => row.clone_from(rows.last()?),
            digit => {
                let value = u8::try_from(digit.to_digit(16)?).ok()?;
                row.extend(std::iter::repeat_n(value, repeat.max(1)));
                repeat = 0;
            }
        }
        if row.len() > width {
            return None;
        }
        if row.len() == width {
            rows.push(std::mem::replace(&mut row, Vec::with_capacity(width)));
        }
    }
    (row.is_empty() && repeat == 0).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Command> {
        let mut reader = Reader::default();
        text.bytes().flat_map(|byte| reader.push(byte)).collect()
    }

    #[test]
    fn control_commands_are_seen_as_they_arrive_in_the_middle_of_a_format_too() {
        let format = |name: &str, value: &str| Command::Format(name.into(), value.into());
        let control = |name: &str| Command::Control(name.into());
        let expected = [
            control("HS"),
            Command::Begin,
            format("PW", "16"),
            control("HQES"),
            format("FO", "0,0"),
            Command::End,
        ];
        assert_eq!(read("~HS\r\n^XA^PW16\n~HQES\n^FO0,0^XZ"), expected);
        assert_eq!(read("~HS"), [control("HS")]);
    }

    /// The guide's own picture, figure "condensed graphic" (`FO` there is a slip of the pen for `F0`).
    #[test]
    fn the_guide_s_triangle_is_unpacked() {
        let rows = unpack("F0,FF,FFF0,FFFFF0,FFFFFF,", 12).unwrap();
        let text: Vec<String> = rows
            .iter()
            .map(|row| row.iter().map(|n| char::from_digit(u32::from(*n), 16).unwrap()).collect())
            .collect();
        let expected = ["f00000000000", "ff0000000000", "fff000000000", "fffff0000000", "ffffff000000"];
        assert_eq!(text, expected);
    }

    #[test]
    fn a_row_that_is_too_long_or_not_full_is_no_picture() {
        assert_eq!(unpack("FFF", 2), None);
        assert_eq!(unpack("JF", 2), None);
        assert_eq!(unpack("F", 2), None);
        assert_eq!(unpack(":", 2), None);
        assert_eq!(unpack("HF:,!", 2), Some(vec![vec![15, 15], vec![15, 15], vec![0, 0], vec![15, 15]]));
    }
}

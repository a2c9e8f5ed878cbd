//! Rows with labels on a screen that has only so much room, in characters that its font has. Pure.

use pestle_drivers::printer::codepage::{self, CodePage};

/// The width of the words on the left.
pub(super) const LABEL: usize = 10;
/// What the font of the kernel's console has (`font_8x16` of Linux: the VGA's, with its map to Unicode): a character outside of it is
/// an empty box there.
const FONT: CodePage = CodePage::Pc437;

/// What of a part may be left out, so that the rest has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// Nothing.
    Nothing,
    /// Its last rows, which are so many more of these.
    Last(&'static str),
    /// Its first rows, where the last say how it ended.
    First,
}

/// Rows that belong together.
struct Part {
    gives: Gives,
    label: &'static str,
    /// Each of one line or more.
    rows: Vec<Vec<String>>,
}

/// A screen that is being laid out.
pub(super) struct Page {
    width: usize,
    parts: Vec<Part>,
}

impl Page {
    pub(super) fn new(width: usize) -> Page {
        Page { width: width.max(LABEL + 20), parts: Vec::new() }
    }

    pub(super) fn title(&mut self, title: &str, version: &str) {
        let gap = self.width.saturating_sub(title.chars().count() + version.len() + 1).max(1);
        let lines = [format!("{title}{}{version}", " ".repeat(gap)), "─".repeat(self.width)];
        let rows = vec![lines.map(|line| line.chars().take(self.width).collect()).to_vec()];
        self.parts.push(Part { gives: Gives::Nothing, label: "", rows });
    }

    /// A part with this label.
    pub(super) fn part<Text: AsRef<str>>(
        &mut self,
        label: &'static str,
        gives: Gives,
        rows: impl IntoIterator<Item = Text>,
    ) {
        let rows = rows.into_iter().enumerate();
        let rows = rows.map(|(index, text)| self.row(if index == 0 { label } else { "" }, text.as_ref()));
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            self.parts.push(Part { gives, label, rows });
        }
    }

    /// A row with its label; words that do not fit go on below it.
    fn row(&self, label: &str, text: &str) -> Vec<String> {
        let room = self.width - LABEL;
        let mut rows = vec![String::new()];
        for word in text.split_whitespace() {
            let last = rows.last().map_or(0, |row| row.chars().count());
            if last > 0 && last + 1 + word.chars().count() > room {
                rows.push(String::new());
            }
            if let Some(row) = rows.last_mut() {
                if !row.is_empty() {
                    row.push(' ');
                }
                // A word as long as that is an address or a path: its beginning says which.
                row.extend(word.chars().take(room - row.chars().count().min(room)));
            }
        }
        let labels = std::iter::once(label).chain(std::iter::repeat(""));
        labels.zip(rows).map(|(label, row)| format!("{label:<LABEL$}{row}")).collect()
    }

    /// The screen's text, of `height` lines at the most.
    pub(super) fn fit(mut self, height: usize) -> String {
        let mut order: Vec<usize> = (0..self.parts.len()).rev().collect();
        // How something ended is given up after all else.
        order.sort_by_key(|index| self.parts.get(*index).is_some_and(|part| part.gives == Gives::First));
        for index in order {
            self.shorten(index, height);
        }
        let lines: Vec<String> = self.parts.into_iter().flat_map(|part| part.rows).flatten().collect();
        let mut text = lines.iter().take(height).map(|line| line.trim_end()).collect::<Vec<_>>();
        let more =
            format!("and {} more lines: see the box's pages", lines.len() + 1 - height.min(lines.len()));
        if lines.len() > height {
            text.pop();
            text.push(&more);
        }
        in_font(text.join("\n").trim_end())
    }

    /// Leaves out of a part as much as needs be, and says how much that is.
    fn shorten(&mut self, index: usize, height: usize) {
        let mut total = self.parts.iter().flat_map(|part| &part.rows).map(Vec::len).sum::<usize>();
        let Some(part) = self.parts.get_mut(index) else { return };
        if part.gives == Gives::Nothing || total <= height {
            return;
        }
        let mut left_out = 0;
        // One line says that something is left out.
        while total + 1 > height && !part.rows.is_empty() {
            let row = match part.gives {
                Gives::First => part.rows.remove(0),
                Gives::Last(_) | Gives::Nothing => part.rows.split_off(part.rows.len() - 1).concat(),
            };
            total -= row.len();
            left_out += 1;
        }
        let Part { gives, label, rows } = part;
        let label = if rows.is_empty() || *gives == Gives::First { *label } else { "" };
        let told = match gives {
            Gives::Last(what) if rows.is_empty() => format!("{left_out} {what}: see the box's pages"),
            Gives::Last(what) => format!("and {left_out} more {what}: see the box's pages"),
            Gives::First | Gives::Nothing => format!("({left_out} more lines came before)"),
        };
        let line: String = format!("{label:<LABEL$}{told}").chars().take(self.width).collect();
        let place = if *gives == Gives::First { 0 } else { rows.len() };
        rows.insert(place, vec![line]);
    }
}

/// The text with a stand-in for each character that the font lacks; as many characters as before.
fn in_font(text: &str) -> String {
    let line = |line: &str| -> String {
        // What is replaced is no loss: the box's pages have it as it is written.
        let bytes = codepage::encode_text(line, FONT, &mut Vec::new());
        bytes.into_iter().map(|byte| FONT.decode(byte)).collect()
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part_of(label: &'static str, gives: Gives, rows: usize) -> Page {
        let mut page = Page::new(40);
        page.part("Box", Gives::Nothing, ["sells"]);
        page.part(label, gives, (1..=rows).map(|number| format!("number {number}")));
        page
    }

    #[test]
    fn what_fits_to_the_last_line_is_shown_whole() {
        assert_eq!(part_of("Devices", Gives::Last("devices"), 3).fit(4).lines().count(), 4);
        assert!(!part_of("Devices", Gives::Last("devices"), 3).fit(4).contains("more"));
    }

    #[test]
    fn a_part_gives_its_last_rows_or_its_first_and_says_how_many() {
        let check = |gives, height, expected: &[&str]| {
            let text = part_of("List", gives, 5).fit(height);
            assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), expected, "{text}");
        };
        let devices = Gives::Last("devices");
        check(
            devices,
            4,
            &["List      number 1", "          number 2", "          and 3 more devices: see the bo"],
        );
        check(devices, 2, &["List      5 devices: see the box's pages"]);
        check(
            Gives::First,
            4,
            &["List      (3 more lines came before)", "          number 4", "          number 5"],
        );
        // Where nothing may be given, the end of the screen says so.
        check(Gives::Nothing, 3, &["List      number 1", "and 4 more lines: see the box's pages"]);
    }

    #[test]
    fn a_character_that_the_font_lacks_has_a_stand_in_of_one_column() {
        for (written, shown) in [
            ("Zażółć · Łódź", "Zazólc · Lódz"),
            ("Ñandú, Größe, 4 °C", "Ñandú, Größe, 4 °C"),
            ("„so“ – it’s…", "\"so\" - it's."),
            ("薬局\u{1b}[2J", "???[2J"),
            ("─", "─"),
        ] {
            assert_eq!(in_font(written), shown);
        }
    }
}

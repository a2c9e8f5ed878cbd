//! Letters of any script: shaped, put in reading order and drawn with the fonts that are installed.
//!
//! Fonts are looked for when the first line needs one, and their files are mapped, not read: a branch that prints Latin
//! alone never opens any. The work is that of `cosmic-text`; what is ours is the grid of the receipt, one bit a dot, and
//! that nothing is left out silently.

#![allow(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "outlines are measured in fractions of a dot; all numbers are those of one line of paper"
)]

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use cosmic_text::{
    Attrs, Buffer, CacheKey, Family, FontSystem, LayoutGlyph, Metrics, Shaping, SwashCache, SwashContent,
    SwashImage, Weight, Wrap,
    fontdb::{Database, Stretch, Style},
};

use crate::printer::bitmap::Bitmap;

/// Where Debian's packages put fonts.
pub const FONT_FOLDER: &str = "/usr/share/fonts";

/// Fonts of a fixed width, best first. The first that is installed sets the size of all letters.
const GRID_FAMILIES: [&str; 4] = ["DejaVu Sans Mono", "Noto Sans Mono", "Liberation Mono", "FreeMono"];

/// Drawn letters that are kept; a day's receipts use some hundred. About half a kilobyte each.
const LETTERS_KEPT_MAX: usize = 2_000;

/// From this darkness on (of 255) a dot is black: thin strokes stay whole.
const BLACK_FROM: u8 = 110;

/// The installed fonts. Clones share what is loaded.
#[derive(Clone)]
pub struct Fonts {
    folders: Arc<[PathBuf]>,
    loaded: Arc<Mutex<Option<Loaded>>>,
}

struct Loaded {
    system: FontSystem,
    cache: SwashCache,
    grid: Option<Grid>,
}

/// The font that sets the grid.
#[derive(Debug, Clone)]
struct Grid {
    family: String,
    /// Width of its digits, in parts of the font's size.
    advance: f32,
}

/// A line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawn {
    /// As wide as the text.
    pub bitmap: Bitmap,
    /// Rows of it above the base line.
    pub ascent: usize,
    /// Characters that no font has; each was drawn as a box.
    pub missing: Vec<char>,
}

impl fmt::Debug for Fonts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fonts").field("folders", &self.folders).finish_non_exhaustive()
    }
}

impl Default for Fonts {
    fn default() -> Fonts {
        Fonts::in_folders([PathBuf::from(FONT_FOLDER)])
    }
}

impl Fonts {
    /// The fonts below these folders. None is opened before it is needed; a folder that is missing holds none.
    #[must_use]
    pub fn in_folders(folders: impl IntoIterator<Item = PathBuf>) -> Fonts {
        Fonts { folders: folders.into_iter().collect(), loaded: Arc::default() }
    }

    /// Forgets what is loaded; the next line that needs a font loads it again.
    pub fn release(&self) {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Draws `text` in one line, a column `cell` dots wide, at most `width` dots in all: what is wider is drawn smaller.
    /// `None` when no font is installed.
    #[must_use]
    pub fn draw(&self, text: &str, cell: usize, width: usize, bold: bool) -> Option<Drawn> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get_or_insert_with(|| Loaded::from(&self.folders));
        let grid = loaded.grid.clone()?;
        if loaded.cache.image_cache.len() > LETTERS_KEPT_MAX {
            loaded.cache.image_cache.clear();
        }
        let size = cell as f32 / grid.advance;
        let mut shaped = loaded.shape(text, &grid.family, size, bold);
        if shaped.width > width as f32 {
            // Letters of other scripts may be wider than their columns.
            shaped = loaded.shape(text, &grid.family, size * width as f32 / shaped.width, bold);
        }
        Some(loaded.draw(&shaped, width))
    }
}

struct Shaped {
    text: String,
    glyphs: Vec<LayoutGlyph>,
    width: f32,
    size: f32,
    bold: bool,
}

/// A drawn letter, where it stands: dots from the left edge, and from the base line upwards.
struct Placed {
    left: i32,
    top: i32,
    bitmap: Bitmap,
}

impl Loaded {
    fn from(folders: &[PathBuf]) -> Loaded {
        let mut database = Database::new();
        folders.iter().for_each(|folder| database.load_fonts_dir(folder));
        let unwanted: Vec<_> = database
            .faces()
            .filter(|face| face.style != Style::Normal || face.stretch != Stretch::Normal)
            .map(|face| face.id)
            .collect();
        unwanted.into_iter().for_each(|id| database.remove_face(id));
        let has = |wanted: &str| {
            database.faces().any(|face| face.families.iter().any(|(family, _)| family == wanted))
        };
        let family = GRID_FAMILIES.into_iter().find(|family| has(family)).map(str::to_owned);
        let any =
            || database.faces().next().and_then(|face| face.families.first().map(|(name, _)| name.clone()));
        let family = family.or_else(any);
        tracing::debug!(faces = database.len(), ?family, "fonts found");
        let system = FontSystem::new_with_locale_and_db("en".to_owned(), database);
        let mut loaded = Loaded { system, cache: SwashCache::new(), grid: None };
        loaded.grid = family.map(|family| {
            let advance = loaded.shape("0", &family, 100.0, false).width / 100.0;
            // A font without digits would be no font for a receipt; half the size is usual.
            Grid { family, advance: if advance > 0.1 { advance } else { 0.6 } }
        });
        loaded
    }

    fn shape(&mut self, text: &str, family: &str, size: f32, bold: bool) -> Shaped {
        let mut buffer = Buffer::new_empty(Metrics::new(size, size * 1.25));
        buffer.set_wrap(Wrap::None);
        buffer.set_size(None, None);
        let weight = if bold { Weight::BOLD } else { Weight::NORMAL };
        let attributes = Attrs::new().family(Family::Name(family)).weight(weight);
        buffer.set_text(text, &attributes, Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut self.system, false);
        let mut shaped = Shaped { text: text.to_owned(), glyphs: Vec::new(), width: 0.0, size, bold };
        if let Some(run) = buffer.layout_runs().next() {
            // Without a width to align in, a right-to-left line may begin anywhere: the leftmost glyph is the edge.
            let left = run.glyphs.iter().map(|glyph| glyph.x).fold(f32::INFINITY, f32::min);
            let right = run.glyphs.iter().map(|glyph| glyph.x + glyph.w).fold(0.0, f32::max);
            shaped.glyphs = run.glyphs.to_vec();
            if left.is_finite() {
                shaped.glyphs.iter_mut().for_each(|glyph| glyph.x -= left);
                shaped.width = right - left;
            }
        }
        shaped
    }

    fn draw(&mut self, shaped: &Shaped, width: usize) -> Drawn {
        let mut missing = Vec::new();
        let mut letters = Vec::new();
        for glyph in &shaped.glyphs {
            if glyph.glyph_id == 0 {
                let characters = shaped.text.get(glyph.start..glyph.end).unwrap_or_default();
                let visible = characters.chars().filter(|c| is_visible(*c));
                let before = missing.len();
                missing.extend(visible);
                if missing.len() > before {
                    letters.push(missing_box(glyph));
                }
                continue;
            }
            letters.extend(self.letter(glyph, shaped));
        }
        // The grid's line: what a Latin line takes, so that all lines are alike; a higher letter makes it higher.
        let least_ascent = (shaped.size * 0.93).ceil() as i32;
        let least_descent = (shaped.size * 0.24).ceil() as i32;
        let ascent = letters.iter().map(|letter| letter.top).fold(least_ascent, i32::max);
        let below = |letter: &Placed| letter.bitmap.height() as i32 - letter.top;
        let descent = letters.iter().map(below).fold(least_descent, i32::max);
        let wide = (shaped.width.ceil() as usize).clamp(1, width.max(1));
        let mut bitmap = Bitmap::new(wide, (ascent + descent).max(1) as usize);
        for letter in &letters {
            // Marks may stand a dot before the edge.
            bitmap.draw(&letter.bitmap, letter.left.max(0) as usize, (ascent - letter.top).max(0) as usize);
        }
        Drawn { bitmap, ascent: ascent as usize, missing }
    }

    fn letter(&mut self, glyph: &LayoutGlyph, shaped: &Shaped) -> Option<Placed> {
        // On whole dots: between two, thin strokes would come and go.
        let (key, x, y) = CacheKey::new(
            glyph.font_id,
            glyph.glyph_id,
            glyph.font_size,
            (
                (glyph.x + glyph.font_size * glyph.x_offset).round(),
                -(glyph.font_size * glyph.y_offset).round(),
            ),
            glyph.font_weight,
            glyph.cache_key_flags,
        );
        let light = shaped.bold
            && self.system.db().face(glyph.font_id).is_some_and(|face| face.weight.0 < Weight::SEMIBOLD.0);
        let image = self.cache.get_image(&mut self.system, key).as_ref()?;
        let mut bitmap = in_one_bit(image);
        if light {
            bitmap = bitmap.widened(1);
            bitmap.embolden();
        }
        Some(Placed { left: x + image.placement.left, top: image.placement.top - y, bitmap })
    }
}

fn in_one_bit(image: &SwashImage) -> Bitmap {
    let (width, height) = (image.placement.width as usize, image.placement.height as usize);
    let mut bitmap = Bitmap::new(width, height);
    let black = |at: usize| match image.content {
        SwashContent::Mask => image.data.get(at).is_some_and(|darkness| *darkness >= BLACK_FROM),
        // Four bytes a dot: dark and not transparent.
        SwashContent::Color | SwashContent::SubpixelMask => {
            image.data.get(at * 4..at * 4 + 4).is_some_and(|dot| {
                let light: u32 = dot.iter().take(3).map(|part| u32::from(*part)).sum();
                dot.last().is_some_and(|alpha| *alpha >= BLACK_FROM) && light < 3 * 160
            })
        }
    };
    for at in (0..width * height).filter(|at| black(*at)) {
        bitmap.set(at % width, at / width, true);
    }
    bitmap
}

/// A box in the place of a character that no font has.
fn missing_box(glyph: &LayoutGlyph) -> Placed {
    let wide = (glyph.w as usize).max(6);
    let high = ((glyph.font_size * 0.7) as usize).max(6);
    let mut bitmap = Bitmap::new(wide, high);
    bitmap.fill(1, 0, wide - 2, 1);
    bitmap.fill(1, high - 1, wide - 2, 1);
    bitmap.fill(1, 0, 1, high);
    bitmap.fill(wide - 2, 0, 1, high);
    Placed { left: glyph.x.round() as i32, top: high as i32, bitmap }
}

/// Not a blank, a joiner, a mark of direction or a selector, which have no shape of their own.
fn is_visible(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !matches!(
            character,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> Drawn {
        Fonts::default().draw(text, 12, 576, false).expect("setup.sh test installs fonts-dejavu-core")
    }

    #[test]
    fn letters_of_the_grid_are_one_column_each() {
        assert_eq!(drawn("0123456789").bitmap.width(), 120);
        assert_eq!(drawn("Ждём").bitmap.width(), 48);
    }

    #[test]
    fn every_script_that_we_promise_has_its_letters() {
        for text in [
            "Ελληνικά",
            "Кириллица",
            "العربية",
            "עברית",
            "हिन्दी",
            "ภาษาไทย",
            "简体中文",
            "日本語かな",
            "Łódź ș €",
        ] {
            let drawn = drawn(text);
            assert_eq!(drawn.missing, Vec::<char>::new(), "{text}");
            assert!(!drawn.bitmap.is_white(), "{text}");
        }
    }

    #[test]
    fn a_character_that_no_font_has_is_told_and_drawn_as_a_box() {
        let drawn = drawn("a\u{e000}b");
        assert_eq!(drawn.missing, ['\u{e000}']);
        assert!((12..24).any(|x| drawn.bitmap.get(x, drawn.ascent - 1)), "a box stands on the base line");
    }

    #[test]
    fn arabic_is_joined_and_runs_from_the_right() {
        // Joined letters are other shapes than single ones.
        let word = drawn("بب").bitmap;
        let single = drawn("ب\u{200c}ب").bitmap;
        assert_ne!(word, single);
        // Alef is a bar; at the start of the text it stands at the right.
        let bitmap = drawn("اب").bitmap;
        let column = |x: usize| (0..bitmap.height()).filter(|y| bitmap.get(x, *y)).count();
        let tallest = (0..bitmap.width()).max_by_key(|x| column(*x)).unwrap();
        assert!(tallest > bitmap.width() / 2, "{tallest} of {}", bitmap.width());
    }

    #[test]
    fn what_is_too_wide_is_drawn_smaller_and_not_cut() {
        let fonts = Fonts::default();
        let narrow = fonts.draw("漢字漢字漢字", 12, 60, false).unwrap();
        assert!(narrow.bitmap.width() <= 60);
        assert!((50..60).any(|x| (0..narrow.bitmap.height()).any(|y| narrow.bitmap.get(x, y))));
    }

    #[test]
    fn without_fonts_there_is_no_drawing() {
        assert_eq!(
            Fonts::in_folders([PathBuf::from("/there-is-no-such-folder")]).draw("a", 12, 99, false),
            None
        );
    }
}

//! Logos: PNG files of a folder, scaled to the paper and dithered to black and white.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::printer::bitmap::Bitmap;

/// Largest picture that is read, in dots a side: more than any paper has.
const SIDE_MAX: u32 = 4_096;

/// Where a branch keeps its pictures. Clones are cheap.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    folder: Option<Arc<Path>>,
}

/// Why a picture is not printed. The document is, without it.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// There is no folder of pictures.
    #[error("no folder of pictures is set up: name one in the configuration")]
    NoFolder,
    /// There is no such file, or it may not be read.
    #[error("{path} cannot be opened: put the picture there as PNG")]
    Open {
        /// What was looked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no PNG, or a damaged one.
    #[error("{path} is no PNG that can be read: save it again as PNG")]
    Decode {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: png::DecodingError,
    },
    /// It has too many dots.
    #[error("{path} is {width} by {height} dots: make it at most {SIDE_MAX} a side")]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Dots across.
        width: u32,
        /// Dots down.
        height: u32,
    },
}

/// Grey, 0 is black; row by row.
struct Grey {
    width: usize,
    height: usize,
    dots: Vec<u8>,
}

impl Pictures {
    /// The pictures of a folder: a picture's name is that of its file without `.png`. Files are read when they are
    /// printed, so that a new logo needs no restart.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Pictures {
        Pictures { folder: Some(folder.into().into()) }
    }

    /// The picture in black and white, at most `width` by `height` dots. It is never enlarged.
    ///
    /// # Errors
    /// See [`PictureError`].
    pub fn draw(&self, name: &str, width: usize, height: usize) -> Result<Bitmap, PictureError> {
        let folder = self.folder.as_ref().ok_or(PictureError::NoFolder)?;
        let path = folder.join(format!("{name}.png"));
        let grey = read(&path)?;
        Ok(dithered(&shrunk(grey, width, height)))
    }
}

fn read(path: &Path) -> Result<Grey, PictureError> {
    let file = File::open(path).map_err(|source| PictureError::Open { path: path.to_owned(), source })?;
    let bad = |source| PictureError::Decode { path: path.to_owned(), source };
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(bad)?;
    let (width, height) = (reader.info().width, reader.info().height);
    if width > SIDE_MAX || height > SIDE_MAX {
        return Err(PictureError::TooLarge { path: path.to_owned(), width, height });
    }
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let frame = reader.next_frame(&mut bytes).map_err(bad)?;
    let samples = frame.color_type.samples();
    let dots = bytes.chunks_exact(samples).map(grey_of).collect();
    let side = |count: u32| usize::try_from(count).unwrap_or(0);
    Ok(Grey { width: side(width), height: side(height), dots })
}

/// On white paper. Weights of red, green and blue: ITU-R BT.601, in 256ths.
fn grey_of(dot: &[u8]) -> u8 {
    let (grey, alpha) = match *dot {
        [grey] => (u32::from(grey), 255),
        [grey, alpha] => (u32::from(grey), u32::from(alpha)),
        [red, green, blue] => (luminance(red, green, blue), 255),
        [red, green, blue, alpha] => (luminance(red, green, blue), u32::from(alpha)),
        _ => (255, 255),
    };
    u8::try_from((grey * alpha + 255 * (255 - alpha)) / 255).unwrap_or(255)
}

fn luminance(red: u8, green: u8, blue: u8) -> u32 {
    (77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue)) / 256
}

/// Smaller by averaging, so that it fits; its proportions stay.
fn shrunk(grey: Grey, width: usize, height: usize) -> Grey {
    if grey.width <= width && grey.height <= height {
        return grey;
    }
    let (width, height) = (width.max(1), height.max(1));
    // Whichever side is too long by the larger factor decides.
    let (to_width, to_height) = if grey.width * height >= grey.height * width {
        (width, (grey.height * width / grey.width.max(1)).max(1))
    } else {
        ((grey.width * height / grey.height.max(1)).max(1), height)
    };
    let mut dots = Vec::with_capacity(to_width * to_height);
    for y in 0..to_height {
        let rows = y * grey.height / to_height..((y + 1) * grey.height).div_ceil(to_height);
        for x in 0..to_width {
            let columns = x * grey.width / to_width..((x + 1) * grey.width).div_ceil(to_width);
            let (mut sum, mut count) = (0_usize, 0_usize);
            for row in rows.clone() {
                let from = row * grey.width;
                let part = grey.dots.get(from + columns.start..from + columns.end).unwrap_or_default();
                sum += part.iter().map(|dot| usize::from(*dot)).sum::<usize>();
                count += part.len();
            }
            dots.push(u8::try_from(sum / count.max(1)).unwrap_or(255));
        }
    }
    Grey { width: to_width, height: to_height, dots }
}

/// Floyd and Steinberg's error diffusion (1976): 7, 3, 5 and 1 sixteenths go to the neighbours not yet drawn.
fn dithered(grey: &Grey) -> Bitmap {
    let mut bitmap = Bitmap::new(grey.width, grey.height);
    let mut next = vec![0_i32; grey.width + 2];
    for y in 0..grey.height {
        let mut errors = std::mem::replace(&mut next, vec![0; grey.width + 2]);
        for x in 0..grey.width {
            let dot = grey.dots.get(y * grey.width + x).map_or(255, |dot| i32::from(*dot));
            let wanted = dot + errors.get(x + 1).copied().unwrap_or(0) / 16;
            let black = wanted < 128;
            bitmap.set(x, y, black);
            let error = wanted - if black { 0 } else { 255 };
            let give = |row: &mut Vec<i32>, at: usize, parts: i32| {
                if let Some(place) = row.get_mut(at) {
                    *place += error * parts;
                }
            };
            give(&mut errors, x + 2, 7);
            give(&mut next, x, 3);
            give(&mut next, x + 1, 5);
            give(&mut next, x + 2, 1);
        }
    }
    bitmap
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(
        name: &str,
        width: u32,
        height: u32,
        rgba: impl Fn(u32, u32) -> [u8; 4],
    ) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join(format!("{name}.png"))).unwrap();
        let mut encoder = png::Encoder::new(file, width, height);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        let dots: Vec<u8> =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| rgba(x, y)).collect();
        encoder.write_header().unwrap().write_image_data(&dots).unwrap();
        folder
    }

    fn black(bitmap: &Bitmap) -> u32 {
        bitmap.bytes().iter().map(|byte| byte.count_ones()).sum()
    }

    #[test]
    fn a_logo_is_shrunk_to_the_paper_with_its_proportions_and_never_enlarged() {
        let folder = folder_with("logo", 400, 100, |x, _| if x < 200 { [0, 0, 0, 255] } else { [255; 4] });
        let pictures = Pictures::in_folder(folder.path());
        let drawn = pictures.draw("logo", 200, 500).unwrap();
        assert_eq!((drawn.width(), drawn.height(), black(&drawn)), (200, 50, 100 * 50));
        assert!(drawn.get(99, 20) && !drawn.get(100, 20));
        assert_eq!(pictures.draw("logo", 999, 25).unwrap().width(), 100);
        assert_eq!(pictures.draw("logo", 999, 999).unwrap().width(), 400);
    }

    #[test]
    fn grey_becomes_as_many_dots_as_it_is_dark_and_transparent_stays_white() {
        let folder = folder_with("grey", 64, 64, |_, _| [192, 192, 192, 255]);
        let drawn = Pictures::in_folder(folder.path()).draw("grey", 64, 64).unwrap();
        let expected = 64 * 64 * (255 - 192) / 255;
        assert!(black(&drawn).abs_diff(expected) < 40, "{} of about {expected}", black(&drawn));
        let folder = folder_with("clear", 8, 8, |_, _| [0, 0, 0, 0]);
        assert!(Pictures::in_folder(folder.path()).draw("clear", 8, 8).unwrap().is_white());
    }

    #[test]
    fn a_picture_that_is_missing_or_none_is_told_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = Pictures::in_folder(folder.path());
        let missing = pictures.draw("logo", 10, 10).unwrap_err();
        assert!(missing.to_string().ends_with("logo.png cannot be opened: put the picture there as PNG"));
        std::fs::write(folder.path().join("logo.png"), "no picture").unwrap();
        assert!(matches!(pictures.draw("logo", 10, 10), Err(PictureError::Decode { .. })));
        assert!(matches!(Pictures::default().draw("logo", 1, 1), Err(PictureError::NoFolder)));
    }
}

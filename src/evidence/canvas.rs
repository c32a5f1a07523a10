//! A picture of indexed colours: greys for what lies behind, shades of one colour for each person.

use crate::frame::Size;
use gif::Frame;
use std::borrow::Cow;

/// Canvas pixels for each pixel of the fitted picture.
const SCALE: usize = 2;
/// Greys of the background: few, or a picture takes twice the bytes.
const GREYS: usize = 32;
/// Dimmed, so that figures stand out.
const DIMMED: f32 = 0.6;
/// The grey of an empty background: not quite black, so that a picture without people is seen to be one.
const EMPTY: u8 = 3;
/// The colour that leaves a pixel as it was in the frame before.
const KEPT: u8 = GREYS as u8;
/// The first of the people's shades.
const FIRST: usize = GREYS + 1;
/// Shades of one person's colour: enough for soft edges, and few for the same reason.
const SHADES: usize = 8;
/// One for each person that a bundle may follow here; more share them. Okabe and Ito's, told apart by the colour-blind.
const COLOURS: [[u8; 3]; 4] = [[240, 228, 66], [86, 180, 233], [230, 159, 0], [204, 121, 167]];
/// The grey of a marked place's outline, brighter than any dimmed picture, its width in pixels, and that of its rim.
const OUTLINE: u8 = 22;
const LINE: f32 = 2.0;
const RIM: f32 = 2.0;
/// Rows of the bar that tells the time.
const BAR: usize = 4;

/// RGB: greys, one for what is kept, then the shades of each person.
pub(super) fn palette() -> Vec<u8> {
    let greys = (0..GREYS).flat_map(|level| [(level * 255 / (GREYS - 1)) as u8; 3]);
    let shades = COLOURS.into_iter().flat_map(|colour| {
        (1..=SHADES).flat_map(move |shade| colour.map(|part| (usize::from(part) * shade / SHADES) as u8))
    });
    greys.chain([0; 3]).chain(shades).collect()
}

#[derive(Debug, Clone)]
pub(super) struct Canvas {
    size: Size,
    pixels: Vec<u8>,
}

impl Canvas {
    /// An empty canvas, or one with the fitted RGB picture, dimmed and grey.
    pub(super) fn new(picture_size: Size, picture: Option<&[u8]>) -> Self {
        let size = Size { width: picture_size.width * SCALE, height: picture_size.height * SCALE };
        let mut pixels = vec![EMPTY; size.width * size.height];
        if let Some(picture) = picture {
            for (at, pixel) in pixels.iter_mut().enumerate() {
                let (x, y) = (at % size.width / SCALE, at / size.width / SCALE);
                let rgb = &picture[(y * picture_size.width + x) * 3..][..3];
                // Rec. 601's weights of red, green and blue.
                let grey = 0.299 * f32::from(rgb[0]) + 0.587 * f32::from(rgb[1]) + 0.114 * f32::from(rgb[2]);
                *pixel = (grey * DIMMED * (GREYS - 1) as f32 / 255.0) as u8;
            }
        }
        Self { size, pixels }
    }

    pub(super) fn width(&self) -> u16 {
        self.size.width as u16
    }

    pub(super) fn height(&self) -> u16 {
        self.size.height as u16
    }

    /// Sides as numbers to reckon with.
    pub(super) fn extent(&self) -> (f32, f32) {
        (self.size.width as f32, self.size.height as f32)
    }

    /// A stroke from `from` to `to` (x, y in pixels, from the left and the top), so many pixels wide and with round ends; from a
    /// point to itself it is a disc. `strength` 0 to 1.
    pub(super) fn stroke(&mut self, from: [f32; 2], to: [f32; 2], wide: f32, person: usize, strength: f32) {
        self.along(from, to, wide, |canvas, x, y, cover| canvas.blend(x, y, cover, person, strength));
    }

    /// A line around `corners` (x, y in pixels), of what stands in the room and does not move; its dark rim shows it on a bright picture.
    pub(super) fn outline(&mut self, corners: &[[f32; 2]]) {
        for (wide, grey) in [(LINE + 2.0 * RIM, 0), (LINE, OUTLINE)] {
            for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
                self.along(*from, *to, wide, |canvas, x, y, cover| {
                    if cover >= 0.5 {
                        canvas.pixels[y * canvas.size.width + x] = grey;
                    }
                });
            }
        }
    }

    /// Hands each pixel near a stroke to `cover`, with how much of it the stroke covers, 0 to 1.
    fn along(&mut self, from: [f32; 2], to: [f32; 2], wide: f32, mut cover: impl FnMut(&mut Self, usize, usize, f32)) {
        let reach = wide / 2.0 + 1.0;
        let span = |a: f32, b: f32, end: usize| {
            let (low, high) = (a.min(b) - reach, a.max(b) + reach);
            // A cast cuts at 0 and at the end, whatever the numbers are.
            (low as usize).min(end)..(high.ceil() as usize).min(end)
        };
        let way = [to[0] - from[0], to[1] - from[1]];
        let long = way[0] * way[0] + way[1] * way[1];
        for y in span(from[1], to[1], self.size.height) {
            for x in span(from[0], to[0], self.size.width) {
                let at = [x as f32 + 0.5 - from[0], y as f32 + 0.5 - from[1]];
                let along = if long > 0.0 { ((at[0] * way[0] + at[1] * way[1]) / long).clamp(0.0, 1.0) } else { 0.0 };
                let away = (at[0] - along * way[0]).hypot(at[1] - along * way[1]);
                cover(self, x, y, (wide / 2.0 + 0.5 - away).clamp(0.0, 1.0));
            }
        }
    }

    /// Covers so much of a pixel. Half covered ones darken, which sets a figure off from a bright background.
    fn blend(&mut self, x: usize, y: usize, cover: f32, person: usize, strength: f32) {
        let shade = (cover * strength * SHADES as f32).round() as usize;
        if shade == 0 {
            return;
        }
        let first = FIRST + person % COLOURS.len() * SHADES;
        let index = (first + shade.min(SHADES) - 1) as u8;
        let pixel = &mut self.pixels[y * self.size.width + x];
        // The soft edge of a stroke leaves what is stronger of the same person: its own limbs join without seams.
        let own = usize::from(*pixel) >= first && usize::from(*pixel) < first + SHADES;
        if cover >= 0.5 || !own || index > *pixel {
            *pixel = index;
        }
    }

    /// The bar at the lower edge: `done` of `all` ticks.
    pub(super) fn progress(&mut self, done: usize, all: usize) {
        let filled = self.size.width * done / all.max(1);
        for row in self.pixels.chunks_exact_mut(self.size.width).rev().take(BAR) {
            row[..filled].fill((GREYS * 3 / 4) as u8);
        }
    }

    /// All of it as a GIF's frame.
    pub(super) fn whole(&self) -> Frame<'static> {
        self.part(0, 0, self.size.width, self.size.height)
    }

    /// The smallest rectangle with everything that is not as `before`, and nothing else in it.
    pub(super) fn changes(&self, before: &Self) -> Frame<'static> {
        let width = self.size.width;
        let changed = |at: &usize| self.pixels[*at] != before.pixels[*at];
        let (mut left, mut right, mut top, mut bottom) = (width, 0, self.size.height, 0);
        for at in (0..self.pixels.len()).filter(changed) {
            let (x, y) = (at % width, at / width);
            (left, right) = (left.min(x), right.max(x + 1));
            (top, bottom) = (top.min(y), bottom.max(y + 1));
        }
        // A frame needs a pixel even if nothing moved.
        let (right, bottom) = (right.max(1), bottom.max(1));
        let (left, top) = (left.min(right - 1), top.min(bottom - 1));
        let mut frame = self.part(left, top, right - left, bottom - top);
        frame.transparent = Some(KEPT);
        let old = before.pixels.chunks_exact(width).skip(top).flat_map(|row| &row[left..right]);
        for (pixel, old) in frame.buffer.to_mut().iter_mut().zip(old) {
            if pixel == old {
                *pixel = KEPT;
            }
        }
        frame
    }

    fn part(&self, left: usize, top: usize, width: usize, height: usize) -> Frame<'static> {
        let rows = self.pixels.chunks_exact(self.size.width).skip(top).take(height);
        let buffer: Vec<u8> = rows.flat_map(|row| &row[left..left + width]).copied().collect();
        Frame {
            left: left as u16,
            top: top as u16,
            width: width as u16,
            height: height as u16,
            buffer: Cow::Owned(buffer),
            ..Frame::default()
        }
    }
}

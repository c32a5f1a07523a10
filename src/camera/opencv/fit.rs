//! From OpenCV's picture to ours: masks burnt in, letterboxed, RGB, straight into the frame's buffer.
//!
//! The intermediate matrices are kept and reused; the frame's buffer is written through a header over it. Nothing is
//! allocated once the stream's size is known.

use super::super::CameraError;
use super::edge::Edge;
use crate::frame::{Frame, Size, View};
use crate::secret::masked;
use opencv::core::{self, Mat, Rect, Scalar, Vec3b};
use opencv::imgproc;
use opencv::prelude::*;
use opencv::videoio::VideoCapture;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    width: i32,
    height: i32,
    kind: i32,
}

pub(super) struct Fit {
    size: Size,
    pad: u8,
    mask: Vec<[f32; 4]>,
    format: Option<Format>,
    view: View,
    edge: Option<Edge>,
    raw: Mat,
    small: Mat,
}

impl Fit {
    pub(super) fn new(size: Size, pad: u8, mask: &[[f32; 4]]) -> Self {
        Self {
            size,
            pad,
            mask: mask.to_vec(),
            format: None,
            view: View::whole(size),
            edge: None,
            raw: Mat::default(),
            small: Mat::default(),
        }
    }

    /// Watches the pictures of a stream that does not tell when its size changes.
    pub(super) fn watched_by(mut self, edge: Edge) -> Self {
        self.edge = Some(edge);
        self
    }

    /// How many pictures in a row were the same, as far as the stream is watched.
    pub(super) fn same(&self) -> u64 {
        self.edge.as_ref().map_or(0, Edge::same)
    }

    /// The next picture may have another size: another file begins.
    pub(super) fn forget_format(&mut self) {
        self.format = None;
    }

    /// Converts the grabbed picture and writes it into `into`.
    pub(super) fn retrieve(
        &mut self,
        capture: &mut VideoCapture,
        shown: &str,
        into: &mut Frame,
    ) -> Result<(), CameraError> {
        let lost = |error: opencv::Error| CameraError::Lost(format!("{shown}: {}", masked(&error.message)));
        if !capture.retrieve(&mut self.raw, 0).map_err(lost)? || self.raw.empty() {
            return Err(CameraError::Lost(format!("{shown}: a picture could not be decoded")));
        }
        self.check_format(shown)?;
        if let Some(edge) = &mut self.edge
            && edge.suspects(
                self.raw.data_bytes().map_err(lost)?,
                self.raw.rows().unsigned_abs() as usize,
                Instant::now(),
            )
        {
            return Err(CameraError::Changed(format!(
                "{shown}: the lower edge of the picture stands still: opened anew to see whether the size changed"
            )));
        }
        into.view = self.view;
        self.write(&mut into.pixels).map_err(lost)
    }

    fn check_format(&mut self, shown: &str) -> Result<(), CameraError> {
        let now = Format { width: self.raw.cols(), height: self.raw.rows(), kind: self.raw.typ() };
        match self.format {
            Some(before) if before == now => Ok(()),
            Some(before) => Err(CameraError::Changed(format!(
                "{shown}: the picture changed midway from {} to {}",
                name(before),
                name(now)
            ))),
            None if conversion(now.kind).is_none() => Err(CameraError::Lost(format!(
                "{shown}: pictures of {} are not supported: ask the source for BGR",
                name(now)
            ))),
            None => {
                self.format = Some(now);
                let from =
                    Size { width: now.width.unsigned_abs() as usize, height: now.height.unsigned_abs() as usize };
                self.view = View::letterbox(from, self.size);
                Ok(())
            }
        }
    }

    fn write(&mut self, pixels: &mut [u8]) -> opencv::Result<()> {
        for &rectangle in &self.mask {
            let area = pixels_of(rectangle, self.raw.cols(), self.raw.rows());
            if area.width > 0 && area.height > 0 {
                self.raw.roi_mut(area)?.set_to_def(&Scalar::all(0.0))?;
            }
        }
        let View { left, top, width, height } = self.view;
        // A picture's sides fit an i32: they are at most the model's.
        let (w, h) = (width as i32, height as i32);
        let shrunk = if (self.raw.cols(), self.raw.rows()) == (w, h) {
            &self.raw
        } else {
            let area = self.raw.cols() >= w && self.raw.rows() >= h;
            let how = if area { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
            imgproc::resize(&self.raw, &mut self.small, core::Size::new(w, h), 0.0, 0.0, how)?;
            &self.small
        };
        if (width, height) != (self.size.width, self.size.height) {
            pixels.fill(self.pad);
        }
        let mut picture =
            Mat::new_rows_cols_with_bytes_mut::<Vec3b>(self.size.height as i32, self.size.width as i32, pixels)?;
        let mut place = picture.roi_mut(Rect::new(left as i32, top as i32, w, h))?;
        let convert = conversion(shrunk.typ()).unwrap_or(imgproc::COLOR_BGR2RGB);
        imgproc::cvt_color_def(shrunk, &mut place, convert)
    }
}

/// How a picture of OpenCV's type becomes RGB.
const fn conversion(kind: i32) -> Option<i32> {
    match kind {
        core::CV_8UC1 => Some(imgproc::COLOR_GRAY2RGB),
        core::CV_8UC3 => Some(imgproc::COLOR_BGR2RGB),
        core::CV_8UC4 => Some(imgproc::COLOR_BGRA2RGB),
        _ => None,
    }
}

fn name(format: Format) -> String {
    let kind = match format.kind {
        core::CV_8UC1 => "grey",
        core::CV_8UC3 => "BGR",
        core::CV_8UC4 => "BGRA",
        _ => return format!("{}×{} type {}", format.width, format.height, format.kind),
    };
    format!("{}×{} {kind}", format.width, format.height)
}

/// The pixels that a mask covers, each one that it touches.
fn pixels_of([left, top, right, bottom]: [f32; 4], width: i32, height: i32) -> Rect {
    let low = |part: f32, side: i32| ((part * side as f32).floor() as i32).clamp(0, side);
    let high = |part: f32, side: i32| ((part * side as f32).ceil() as i32).clamp(0, side);
    let (x, y) = (low(left, width), low(top, height));
    Rect::new(x, y, high(right, width) - x, high(bottom, height) - y)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 8, height: 6 };

    fn fitted(raw: Mat, mask: &[[f32; 4]]) -> (Vec<u8>, View) {
        let mut fit = Fit::new(SIZE, 7, mask);
        fit.raw = raw;
        fit.check_format("test").unwrap();
        let mut pixels = vec![99; SIZE.bytes()];
        fit.write(&mut pixels).unwrap();
        (pixels, fit.view)
    }

    fn solid(width: i32, height: i32, kind: i32, value: [f64; 4]) -> Mat {
        Mat::new_rows_cols_with_default(height, width, kind, value.into()).unwrap()
    }

    #[test]
    fn blue_green_red_becomes_red_green_blue() {
        let (pixels, view) = fitted(solid(16, 12, core::CV_8UC3, [10.0, 20.0, 30.0, 0.0]), &[]);
        assert_eq!(view, View::whole(SIZE));
        assert!(pixels.chunks(3).all(|pixel| pixel == [30, 20, 10]));
    }

    #[test]
    fn grey_and_four_channels_are_taken() {
        let (pixels, _) = fitted(solid(16, 12, core::CV_8UC1, [40.0, 0.0, 0.0, 0.0]), &[]);
        assert!(pixels.iter().all(|&value| value == 40));
        let (pixels, _) = fitted(solid(8, 6, core::CV_8UC4, [10.0, 20.0, 30.0, 255.0]), &[]);
        assert!(pixels.chunks(3).all(|pixel| pixel == [30, 20, 10]));
    }

    #[test]
    fn sixteen_bits_are_refused_with_a_name() {
        let mut fit = Fit::new(SIZE, 0, &[]);
        fit.raw = solid(8, 6, core::CV_16UC1, [0.0; 4]);
        let error = fit.check_format("cam").unwrap_err().to_string();
        assert!(error.contains("8×6") && error.contains("BGR"), "{error}");
    }

    #[test]
    fn a_wide_picture_gets_grey_bars_above_and_below() {
        let (pixels, view) = fitted(solid(16, 6, core::CV_8UC3, [200.0; 4]), &[]);
        assert_eq!(view, View { left: 0, top: 1, width: 8, height: 3 });
        for (i, value) in pixels.iter().enumerate() {
            let row = i / 24;
            assert_eq!(*value, if (1..4).contains(&row) { 200 } else { 7 }, "row {row}");
        }
    }

    #[test]
    fn a_small_picture_grows() {
        let (pixels, view) = fitted(solid(4, 3, core::CV_8UC3, [50.0; 4]), &[]);
        assert_eq!(view, View::whole(SIZE));
        assert!(pixels.iter().all(|&value| value == 50));
    }

    #[test]
    fn a_mask_is_black_and_covers_every_pixel_it_touches() {
        let (pixels, _) = fitted(solid(8, 6, core::CV_8UC3, [200.0; 4]), &[[0.2, 0.0, 0.55, 0.5]]);
        for (i, value) in pixels.iter().enumerate() {
            let (x, y) = (i / 3 % 8, i / 24);
            assert_eq!(*value, if (1..5).contains(&x) && y < 3 { 0 } else { 200 }, "pixel {x},{y}");
        }
    }

    #[test]
    fn a_mask_beyond_the_picture_is_cut() {
        assert_eq!(pixels_of([-1.0, 0.5, 2.0, 9.0], 100, 50), Rect::new(0, 25, 100, 25));
        assert_eq!(pixels_of([0.9, 0.9, 0.1, 0.1], 100, 50).width, -80);
        assert_eq!(pixels_of([f32::NAN; 4], 100, 50), Rect::new(0, 0, 0, 0));
    }

    #[test]
    fn a_change_of_size_midway_is_said() {
        let mut fit = Fit::new(SIZE, 0, &[]);
        fit.raw = solid(16, 12, core::CV_8UC3, [0.0; 4]);
        fit.check_format("cam").unwrap();
        fit.raw = solid(12, 16, core::CV_8UC3, [0.0; 4]);
        let error = fit.check_format("cam").unwrap_err();
        assert_eq!(error, CameraError::Changed("cam: the picture changed midway from 16×12 BGR to 12×16 BGR".into()));
        fit.forget_format();
        assert_eq!(fit.check_format("cam"), Ok(()));
    }
}

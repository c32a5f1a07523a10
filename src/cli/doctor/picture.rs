//! What falld sees through a camera, as a picture for the installer: masks black, marked places outlined, people as stick figures with
//! a dot where falld takes them to be (green where they rest), and a ruler in tenths of the picture to read corners off.

use crate::body;
use crate::classifier::Spec;
use crate::config::{CameraConfig, Outline};
use crate::frame::{Frame, View};
use crate::zone::Zones;
use opencv::core::{self, Mat, Point, Rect, Scalar, Vec3b, Vector};
use opencv::prelude::*;
use opencv::{imgcodecs, imgproc};
use std::collections::BTreeMap;
use std::path::Path;

/// Pixels of the drawing for each of the fitted picture: enough to read the ruler.
const SCALE: i32 = 4;
/// A joint is drawn from this score on, as in an alert's figures: those of lying bodies seldom reach 0.1.
const DRAWN: f32 = 0.05;
/// How strong the ruler's lines are.
const FAINT: f64 = 0.25;
/// Blue, green, red: places to rest, places where only climbers are, people, the ruler.
const REST: [f64; 3] = [0.0, 200.0, 0.0];
const CLIMB: [f64; 3] = [60.0, 60.0, 255.0];
const PERSON: [f64; 3] = [66.0, 228.0, 240.0];
const RULER: [f64; 3] = [255.0, 255.0, 255.0];

/// Draws `frame` with what `camera` marks in it and those of `people`, f32 `[P, F]`, whom the tracker would begin to follow, into the
/// file `path`, a PNG. Returns how many those are.
pub(super) fn write(
    path: &Path,
    frame: &Frame,
    camera: &CameraConfig,
    people: &[f32],
    spec: &Spec,
) -> Result<usize, String> {
    let mut drawing = Drawing::new(frame, spec).map_err(|error| error.message)?;
    let seen: Vec<&[f32]> = if spec.has_bodies() {
        people.chunks_exact(spec.person_len).filter(|row| body::score(row) >= spec.tracker.start_score).collect()
    } else {
        Vec::new()
    };
    drawing.all(camera, &seen, spec).map_err(|error| error.message)?;
    match imgcodecs::imwrite_def(path, &drawing.picture) {
        Ok(true) => Ok(seen.len()),
        Ok(false) => Err("it cannot be written".into()),
        Err(error) => Err(error.message),
    }
}

/// The camera's own part of the fitted picture, larger.
struct Drawing {
    picture: Mat,
    view: View,
    /// The fitted picture's sides.
    fitted: [f32; 2],
}

impl Drawing {
    fn new(frame: &Frame, spec: &Spec) -> opencv::Result<Self> {
        let (size, view) = (spec.frame, frame.view);
        let fitted = Mat::new_rows_cols_with_bytes::<Vec3b>(size.height as i32, size.width as i32, &frame.pixels)?;
        // Sides of pictures fit an i32: they are at most the model's.
        let [left, top, width, height] = [view.left, view.top, view.width, view.height].map(|side| side as i32);
        let own = fitted.roi(Rect::new(left, top, width, height))?;
        let mut large = Mat::default();
        let into = core::Size::new(width * SCALE, height * SCALE);
        imgproc::resize(&own, &mut large, into, 0.0, 0.0, imgproc::INTER_CUBIC)?;
        let mut picture = Mat::default();
        imgproc::cvt_color_def(&large, &mut picture, imgproc::COLOR_RGB2BGR)?;
        Ok(Self { picture, view, fitted: [size.height as f32, size.width as f32] })
    }

    fn all(&mut self, camera: &CameraConfig, people: &[&[f32]], spec: &Spec) -> opencv::Result<()> {
        let zones = Zones::new(camera);
        self.ruler()?;
        self.places(&camera.rest, REST)?;
        self.places(&camera.climb, CLIMB)?;
        for row in people {
            let joint = |keypoint: usize| body::joint(row, keypoint, DRAWN).map(|joint| self.joint(joint));
            let bones: Vec<_> = body::LIMBS.iter().filter_map(|&(from, to)| Some((joint(from)?, joint(to)?))).collect();
            for (from, to) in bones {
                imgproc::line(&mut self.picture, from, to, colour(PERSON), 3, imgproc::LINE_AA, 0)?;
            }
            // Where falld takes them to be.
            let shade = if zones.rests(row, spec, self.view) { REST } else { PERSON };
            let spot = self.joint(body::centre(row));
            imgproc::circle(&mut self.picture, spot, 9, colour(shade), imgproc::FILLED, imgproc::LINE_AA, 0)?;
        }
        Ok(())
    }

    /// Where a part of the camera's picture lies in the drawing.
    fn place(&self, [x, y]: [f32; 2]) -> Point {
        let part = |at: f32, side: i32| (at * side as f32) as i32;
        Point::new(part(x, self.picture.cols()), part(y, self.picture.rows()))
    }

    /// Where a point `[y, x]` of the fitted picture lies in the drawing.
    fn joint(&self, [y, x]: [f32; 2]) -> Point {
        let part = |at: f32, all: f32, first: usize| ((at * all - first as f32) * SCALE as f32) as i32;
        Point::new(part(x, self.fitted[1], self.view.left), part(y, self.fitted[0], self.view.top))
    }

    fn places(&mut self, places: &BTreeMap<String, Outline>, shade: [f64; 3]) -> opencv::Result<()> {
        for (name, outline) in places {
            let corners: Vector<Point> = outline.iter().map(|corner| self.place(*corner)).collect();
            imgproc::polylines(&mut self.picture, &corners, true, colour(shade), 2, imgproc::LINE_AA, 0)?;
            let top = corners.iter().min_by_key(|corner| corner.y).unwrap_or_default();
            self.text(name, Point::new(top.x + 4, (top.y - 6).max(14)), shade)?;
        }
        Ok(())
    }

    /// A tick and a number at each tenth of the upper and the left edge, faint lines between them.
    fn ruler(&mut self) -> opencv::Result<()> {
        let tenths = || (1..10).map(|tenth| tenth as f32 / 10.0);
        let mut lined = self.picture.try_clone()?;
        for at in tenths() {
            for (from, to) in [([at, 0.0], [at, 1.0]), ([0.0, at], [1.0, at])] {
                let (from, to) = (self.place(from), self.place(to));
                imgproc::line(&mut lined, from, to, colour(RULER), 1, imgproc::LINE_8, 0)?;
            }
        }
        let plain = self.picture.try_clone()?;
        core::add_weighted_def(&plain, 1.0 - FAINT, &lined, FAINT, 0.0, &mut self.picture)?;
        for at in tenths() {
            let number = format!("{at:.1}");
            let (x, y) = (self.place([at, 0.0]).x, self.place([0.0, at]).y);
            self.text(&number, Point::new(x - 12, 12), RULER)?;
            self.text(&number, Point::new(2, y + 4), RULER)?;
        }
        Ok(())
    }

    /// Letters with a dark rim, to be read on any picture.
    fn text(&mut self, text: &str, at: Point, shade: [f64; 3]) -> opencv::Result<()> {
        for (shade, thick) in [([0.0; 3], 3), (shade, 1)] {
            let font = imgproc::FONT_HERSHEY_SIMPLEX;
            imgproc::put_text(&mut self.picture, text, at, font, 0.45, colour(shade), thick, imgproc::LINE_AA, false)?;
        }
        Ok(())
    }
}

fn colour([blue, green, red]: [f64; 3]) -> Scalar {
    Scalar::new(blue, green, red, 0.0)
}

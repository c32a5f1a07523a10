//! No frame costs a heap allocation of ours: counted, on a real file, through the real threads.
//!
//! Alone in its file, because the count is the whole process's. What OpenCV allocates within C++ is its own.
#![cfg(feature = "opencv")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, unsafe_code, reason = "a test, and an allocator")]

#[allow(dead_code, reason = "each test file uses its part of the support")]
#[path = "support/camera.rs"]
mod support;
#[allow(dead_code, reason = "each test file uses its part of the support")]
#[path = "support/video.rs"]
mod video;

#[path = "support/counting.rs"]
mod counting;

use counting::{ALLOCATIONS, Counting};
use falld::camera::opencv::{Opener, open_file};
use falld::camera::{Grab, Stream};
use falld::capture::Openers;
use falld::config::CameraConfig;
use falld::frame::{Frame, Size};
use falld::health::CameraHealth;
use std::sync::atomic::Ordering;
use support::Rig;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MODEL: Size = Size { width: 256, height: 192 };

fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

#[test]
fn a_frame_costs_no_allocation() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("a.mp4");
    video::write(&path, b"mp4v", (640, 480), 100.0, 300, 90.0);

    // The stream by itself.
    let mut stream = open_file(&path, MODEL, 0, &[[0.0, 0.0, 0.2, 0.2]]).unwrap();
    let mut frame = Frame::new(MODEL);
    let mut next = |stream: &mut dyn Stream| {
        let picture = matches!(stream.grab().unwrap(), Grab::Picture { .. });
        if picture {
            stream.retrieve(&mut frame).unwrap();
        }
        picture
    };
    for _ in 0..10 {
        assert!(next(&mut *stream));
    }
    let before = allocations();
    let mut pictures = 0;
    while next(&mut *stream) {
        pictures += 1;
    }
    assert_eq!((pictures, allocations() - before), (290, 0), "pictures, allocations");
    drop(stream);

    // Both threads of a capture, and a reader that gives its frames back.
    let config = CameraConfig { source: path.to_str().unwrap().into(), ..CameraConfig::default() };
    let opener = Opener::new(&config, MODEL, 0);
    let openers: Openers = Box::new(move || Box::new(opener.clone()));
    let mut rig = Rig::of(config, 100.0, MODEL, openers);
    rig.witness.wait(2, CameraHealth::Ok);
    for _ in 0..20 {
        let frame = rig.frame();
        rig.slot.recycle(frame);
    }
    let before = allocations();
    for _ in 0..100 {
        let frame = rig.frame();
        rig.slot.recycle(frame);
    }
    assert_eq!(allocations() - before, 0, "allocations of 100 frames through capture and slot");
    rig.stop();
}

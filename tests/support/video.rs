//! Videos made on the fly and servers really run.

use opencv::core::{Mat, Scalar, Size as CvSize, Vector};
use opencv::prelude::*;
use opencv::videoio::VideoWriter;
use opencv::{core, imgcodecs, imgproc};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The `n`th picture: grey `level`, a white block that moves along the lower edge, never the same twice in a row.
pub(crate) fn picture(width: i32, height: i32, level: f64, n: i32) -> Mat {
    let mut picture =
        Mat::new_rows_cols_with_default(height, width, core::CV_8UC3, Scalar::all(level)).expect("a picture");
    let block = core::Rect::new(n * 7 % (width - width / 8), height / 2, width / 8, height / 2);
    imgproc::rectangle(&mut picture, block, Scalar::all(250.0), imgproc::FILLED, imgproc::LINE_8, 0).expect("a block");
    picture
}

/// Writes a video of `frames` pictures; the code is `MJPG` (.avi) or `mp4v` (.mp4).
pub(crate) fn write(path: &Path, code: &[u8; 4], size: (i32, i32), fps: f64, frames: i32, level: f64) {
    let [a, b, c, d] = code.map(char::from);
    let fourcc = VideoWriter::fourcc(a, b, c, d).expect("a code");
    let mut writer =
        VideoWriter::new(path, fourcc, fps, CvSize::new(size.0, size.1), true).expect("a writer of videos");
    assert!(writer.is_opened().expect("a writer"), "OpenCV cannot write {}", path.display());
    for n in 0..frames {
        writer.write(&picture(size.0, size.1, level, n)).expect("a written picture");
    }
    writer.release().expect("a finished video");
}

/// One picture as JPEG.
pub(crate) fn jpeg(width: i32, height: i32, n: i32) -> Vec<u8> {
    let mut bytes = Vector::<u8>::new();
    imgcodecs::imencode_def(".jpg", &picture(width, height, 90.0, n), &mut bytes).expect("a JPEG");
    bytes.to_vec()
}

/// The RTSP server of `rtsp_server.py`. Ends with the value.
pub(crate) struct RtspServer {
    child: Child,
    pub(crate) port: u16,
}

impl RtspServer {
    /// Starts the server; port 0 takes any. None, with the reason printed, if this machine has no such server.
    pub(crate) fn start(port: u16, transport: Option<&str>) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/rtsp_server.py");
        let mut child = Command::new("/usr/bin/python3")
            .args([script, &port.to_string(), "320", "240", "15"])
            .args(transport)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| eprintln!("skipped: no /usr/bin/python3 ({error})"))
            .ok()?;
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("the server's first line");
        let Ok(port) = line.trim().parse() else {
            let mut said = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("the server's complaint");
            child.wait().expect("the server's end");
            let absent = said.contains("No module named 'gi'") || said.contains("Namespace");
            assert!(absent, "the RTSP server does not start: {said}");
            eprintln!("skipped: install gir1.2-gst-rtsp-server-1.0 and python3-gi");
            return None;
        };
        Some(Self { child, port })
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/live", self.port)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).expect("a living server");
    }

    /// The server hangs: its connections stay open, and nothing comes.
    pub(crate) fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP camera: JPEG after JPEG in one answer. What it shows, and whether it goes on, is asked for each picture.
pub(crate) struct HttpCamera {
    pub(crate) port: u16,
    over: Arc<AtomicBool>,
}

impl HttpCamera {
    /// `next` is given the number of the connection and of the picture; none ends the answer.
    pub(crate) fn start(next: impl Fn(usize, i32) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let over = Arc::new(AtomicBool::new(false));
        let (ended, next) = (Arc::clone(&over), Arc::new(next));
        std::thread::spawn(move || {
            for (connection, socket) in listener.incoming().enumerate() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let (ended, next) = (Arc::clone(&ended), Arc::clone(&next));
                std::thread::spawn(move || {
                    let pictures = |n| next(connection, n).filter(|_| !ended.load(Ordering::Relaxed));
                    // The other side hangs up when it has seen enough.
                    let _ = answer(socket.expect("a connection"), pictures);
                });
            }
        });
        Self { port, over }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/video", self.port)
    }
}

impl Drop for HttpCamera {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn answer(mut socket: TcpStream, pictures: impl Fn(i32) -> Option<Vec<u8>>) -> std::io::Result<()> {
    let mut request = BufReader::new(socket.try_clone()?);
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    socket.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=picture\r\n\r\n")?;
    let mut n = 0;
    while let Some(picture) = pictures(n) {
        write!(socket, "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len())?;
        socket.write_all(&picture)?;
        socket.write_all(b"\r\n")?;
        std::thread::sleep(std::time::Duration::from_millis(30));
        n += 1;
    }
    Ok(())
}

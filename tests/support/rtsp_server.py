"""An RTSP server with one live picture at /live, for tests. Prints its port when it is ready.

    rtsp_server.py PORT WIDTH HEIGHT RATE [tcp|udp]

Run by Debian's own python (/usr/bin/python3), which has GStreamer's bindings. It dies with the test that started it,
even while it is stopped.
"""

import ctypes
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)

port, width, height, rate = sys.argv[1:5]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( videotestsrc is-live=true pattern=smpte horizontal-speed=3 ! video/x-raw,width={width},height={height},framerate={rate}/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 )"
)
factory.set_shared(True)
if len(sys.argv) > 5:
    factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, sys.argv[5].upper()))
server.get_mount_points().add_factory("/live", factory)
if server.attach(None) == 0:
    sys.exit(f"cannot listen on port {port}")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()

"""A camera on this machine: motion JPEG over HTTP."""

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


@contextlib.contextmanager
def served():
    """Its address, and the handler: twenty frames of rising brightness, `wait` s apart; then it ends, or is `silent`
    for some seconds first."""

    class Handler(BaseHTTPRequestHandler):
        wait, silent = 0.02, 0.0

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(20):
                data = cv2.imencode(".jpg", np.full((48, 64), 10 * number, np.uint8))[1].tobytes()
                with contextlib.suppress(ConnectionError):  # nobody looks any more
                    self.wfile.write(
                        b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: "
                        + str(len(data)).encode()
                        + b"\r\n\r\n"
                        + data
                        + b"\r\n"
                    )
                time.sleep(self.wait)
            time.sleep(self.silent)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/stream.mjpg", Handler
    server.shutdown()
    server.server_close()

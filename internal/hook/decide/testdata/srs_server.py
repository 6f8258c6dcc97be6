# Answers on_publish and on_play of SRS in the manner of its own example: JSON in, a number out, as text/html.
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Streams(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        req = json.loads(self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8"))
        code = 1
        action = req["action"]
        if action in ("on_publish", "on_play"):
            if req["stream"] == "slow":
                time.sleep(60)
            if req["stream"] == "dead":
                os._exit(1)
            if req["app"] == "live" and req["vhost"] == "__defaultVhost__" and req["param"].startswith("?token=good"):
                code = 0
        body = str(code).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html;charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Streams)
print(server.server_port, flush=True)
server.serve_forever()

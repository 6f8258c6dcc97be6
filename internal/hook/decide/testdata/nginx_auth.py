# Answers on_publish and on_play of nginx-rtmp, as its users write it: a form comes in, a status goes out, and a redirect
# gives the stream its public name.
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

KEYS = {"s3cret-of-alice": "alice"}


class Auth(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(length).decode("utf-8"))
        call, name = form["call"][0], form["name"][0]
        if name == "slow":
            time.sleep(60)
        if name == "dead":
            os._exit(1)
        if call in ("publish", "play") and name in KEYS:
            self.send_response(302)
            self.send_header("Location", KEYS[name])
        elif form["app"][0] == "live" and form.get("token", [""])[0] == "good" and form["addr"][0] in ("203.0.113.7", "127.0.0.1"):
            self.send_response(204)
        else:
            self.send_response(403)
        self.end_headers()

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Auth)
print(server.server_port, flush=True)
server.serve_forever()

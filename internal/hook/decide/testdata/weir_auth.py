# Answers questions of Weir's own format.
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEYS = {"s3cret-of-alice": "alice"}


class Auth(BaseHTTPRequestHandler):
    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = question["stream"]["name"]
        if name == "slow":
            time.sleep(60)
        if name == "dead":
            os._exit(1)
        if name in KEYS:
            answer = {"allow": True, "path": "live/" + KEYS[name], "user": KEYS[name]}
        elif question["stream"]["query"].get("token") == ["good"]:
            answer = {"allow": True}
        else:
            answer = {"allow": False, "reason": "not on the list"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Auth)
print(server.server_port, flush=True)
server.serve_forever()

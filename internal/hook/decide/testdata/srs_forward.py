# Answers on_forward of SRS in the manner of its own example: the servers to which a stream goes, by its name.
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        req = json.loads(self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8"))
        answer = {"code": 1, "data": None}
        if req["action"] == "on_forward" and req["vhost"] == "__defaultVhost__":
            if req["stream"] == "slow":
                time.sleep(60)
            if req["stream"] == "dead":
                os._exit(1)
            if req["param"].startswith("?token=good"):
                urls = [] if req["stream"] == "alone" else ["rtmp://192.0.2.9:19350/%s/%s" % (req["app"], req["stream"]), "rtmp://192.0.2.10/copy/x?ip=" + req["ip"]]
                answer = {"code": 0, "data": {"urls": urls}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
print(server.server_port, flush=True)
server.serve_forever()

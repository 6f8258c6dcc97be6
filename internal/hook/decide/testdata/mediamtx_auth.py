# Answers MediaMTX's external authentication: users in a table, 401 for those who show nothing yet.
import json, os, time, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USERS = {"bob": "good"}


class Auth(BaseHTTPRequestHandler):
    def do_POST(self):
        req = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if req["path"] == "live/slow":
            time.sleep(60)
        if req["path"] == "live/dead":
            os._exit(1)
        if req["id"] is not None:
            uuid.UUID(req["id"])
        if req["action"] not in ("publish", "read"):
            status = 400
        elif not req["user"] and not req["password"] and not req["token"]:
            status = 401
        elif USERS.get(req["user"]) == req["password"] or req["token"] == "good":
            status = 200
        else:
            status = 403
        self.send_response(status)
        self.end_headers()

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Auth)
print(server.server_port, flush=True)
server.serve_forever()

// Answers on_publish and on_play of SRS from Node, with {"code":0} or an error code and a message.
const http = require("http");

const server = http.createServer((req, res) => {
  let body = "";
  req.on("data", (chunk) => (body += chunk));
  req.on("end", () => {
    const event = JSON.parse(body);
    if (event.stream === "slow") return;
    if (event.stream === "dead") process.exit(1);
    const params = new URLSearchParams(event.param);
    const ok = ["on_publish", "on_play"].includes(event.action) && params.get("token") === "good";
    res.writeHead(200, { "Content-Type": "application/json" });
    res.end(JSON.stringify(ok ? { code: 0, data: null } : { code: 403, msg: "invalid token" }));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

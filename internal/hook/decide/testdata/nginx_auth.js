// Answers on_publish and on_play of nginx-rtmp from Node, with the body parser that everybody has.
const http = require("http");
const querystring = require("querystring");

const server = http.createServer((req, res) => {
  let body = "";
  req.on("data", (chunk) => (body += chunk));
  req.on("end", () => {
    const { call, name, token, clientid } = querystring.parse(body);
    if (name === "slow") return;
    if (name === "dead") process.exit(1);
    if (call === "publish" && name === "s3cret-of-alice") {
      res.writeHead(301, { Location: "alice" });
    } else if (token === "good" && /^\d+$/.test(clientid)) {
      res.writeHead(200);
    } else {
      res.writeHead(401);
    }
    res.end();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

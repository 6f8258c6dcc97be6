// Answers OvenMediaEngine's admission webhooks, and checks their signature.
const http = require("http");
const crypto = require("crypto");

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    const body = Buffer.concat(chunks);
    const signature = crypto.createHmac("sha1", "1234").update(body).digest("base64url");
    if (req.headers["x-ome-signature"] !== signature) {
      res.writeHead(400);
      return res.end();
    }
    const { client, request } = JSON.parse(body);
    const url = new URL(request.url);
    const name = url.pathname.split("/")[2];
    if (name === "slow") return;
    if (name === "dead") process.exit(1);
    let answer = { allowed: false, reason: "not on the list" };
    if (request.status === "closing") {
      answer = {};
    } else if (name === "s3cret-of-alice") {
      answer = { allowed: true, new_url: `${url.protocol}//${url.host}/live/alice`, lifetime: 60000, reason: "authorized" };
    } else if (url.searchParams.get("token") === "good" && ["203.0.113.7", "127.0.0.1"].includes(client.address)) {
      answer = { allowed: true };
    }
    res.writeHead(200, { "Content-Type": "application/json" });
    res.end(JSON.stringify(answer));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

// node.mjs PORT
import { createServer } from "node:http";
import { answer, echo } from "./guest.mjs";

function send(response, body) {
  response.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
  response.end(body);
}

createServer((request, response) => {
  if (request.method !== "POST") return send(response, answer(request.url));
  const parts = [];
  request.on("data", (part) => parts.push(part)).on("end", () => send(response, echo(Buffer.concat(parts))));
}).listen({ port: +process.argv[2], host: "127.0.0.1", backlog: 4096 });

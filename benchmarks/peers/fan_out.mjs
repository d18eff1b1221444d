// fan_out.mjs PORT: what the subject's guest does, from node alone: asks the backend and answers with what it says.
import { createServer } from "node:http";
import { connect } from "node:net";
const [host, port] = process.env.BACKEND.split(":");

function send(response, status, body) {
  response.writeHead(status, { "content-type": "text/plain", "content-length": body.length });
  response.end(body);
}

createServer((request, response) => {
  if (request.url !== "/wait") return send(response, 200, "Hello, world!\n");
  const backend = connect({ host, port: +port });
  backend.once("data", (answer) => { backend.destroy(); send(response, 200, answer); });
  backend.once("error", () => send(response, 502, "error\n"));
  backend.write("ask\n");
}).listen({ port: +process.argv[2], host: "127.0.0.1", backlog: 16384 });

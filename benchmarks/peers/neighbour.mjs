// neighbour.mjs PORT: GET / is the good application, /bad/KIND the bad one, in one process.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { answer } from "./guest.mjs";
const bad = new WebAssembly.Module(readFileSync(`${process.env.GUESTS}/peers_bad.wasm`));
const INPUT = 65536;

function send(response, status, body) {
  response.writeHead(status, { "content-type": "text/plain", "content-length": body.length });
  response.end(body);
}

const kinds = {
  bad_loop: (guest) => guest.loop(),
  bad_bomb: (guest, request, response) => { guest.bomb(); send(response, 200, "full\n"); },
  bad_trap: (guest) => guest.trap(),
  bad_blocked: (guest, request, response) => { setTimeout(() => send(response, 200, "end\n"), 60000); },
  bad_upload: (guest, request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part)).on("end", () => {
      const body = Buffer.concat(parts);
      new Uint8Array(guest.memory.buffer, INPUT, body.length).set(body);
      send(response, 200, "ok\n");
    });
  },
};

createServer((request, response) => {
  const kind = kinds[request.url.slice("/bad/".length)];
  if (!kind) return send(response, 200, answer(request.url));
  try {
    kind(new WebAssembly.Instance(bad, {}).exports, request, response);
  } catch {
    send(response, 500, "");
  }
}).listen({ port: +process.argv[2], host: "127.0.0.1", backlog: 4096 });

// A new instance for each request, of modules that are compiled once.
import hello from "peers.wasm";
import echoing from "peers_echo.wasm";
const TYPE = { headers: { "content-type": "text/plain" } };
const INPUT = 65536;
const encoder = new TextEncoder();

function answer(path) {
  const guest = new WebAssembly.Instance(hello, {}).exports;
  if (path.startsWith("/work/")) return encoder.encode(guest.work(+path.slice(6)) + "\n");
  const packed = guest.handle();
  return new Uint8Array(guest.memory.buffer, Number(packed >> 32n), Number(packed & 0xffffffffn)).slice();
}

function echo(body) {
  const guest = new WebAssembly.Instance(echoing, {}).exports;
  new Uint8Array(guest.memory.buffer, INPUT, body.length).set(body);
  return new Uint8Array(guest.memory.buffer, guest.echo(body.length), body.length).slice();
}

export default {
  async fetch(request) {
    if (request.method === "POST") return new Response(echo(new Uint8Array(await request.arrayBuffer())), TYPE);
    return new Response(answer(request.url.slice(request.url.indexOf("/", 8))), TYPE);
  }
};

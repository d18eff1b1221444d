// The same in the JSON of wasm-workers-server: one object in, one object out.
const request = JSON.parse(std.in.readAsString());
const name = /[?&]name=([^&#]*)/.exec(request.url)?.[1] ?? "world";

std.err.puts(`JSON answers ${request.method}\n`);
std.out.puts(JSON.stringify({
  data: request.method === "POST" ? request.body.toUpperCase() : `Hello, ${decodeURIComponent(name)}, from JSON`,
  headers: { "content-type": "text/plain; charset=utf-8" },
  status: 200,
}));

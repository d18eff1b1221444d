// The bad application, a worker beside the good one: GET /bad/KIND.
import bad from "peers_bad.wasm";
const TYPE = { headers: { "content-type": "text/plain" } };
const INPUT = 65536;

const kinds = {
  bad_loop: (guest) => guest.loop(),
  bad_bomb: (guest) => { guest.bomb(); return new Response("full\n", TYPE); },
  bad_trap: (guest) => guest.trap(),
  bad_blocked: async (guest) => { await scheduler.wait(60000); return new Response("end\n", TYPE); },
  bad_upload: async (guest, request) => {
    const body = new Uint8Array(await request.arrayBuffer());
    new Uint8Array(guest.memory.buffer, INPUT, body.length).set(body);
    return new Response("ok\n", TYPE);
  },
};

export default {
  async fetch(request) {
    const kind = kinds[request.url.slice(request.url.lastIndexOf("/") + 1)];
    if (!kind) return new Response("", { status: 404 });
    return kind(new WebAssembly.Instance(bad, {}).exports, request);
  },
};

// One of many applications: the very module that the subject runs, a new instance of it for each request.
import module from "guest.wasm";
const TYPE = { headers: { "content-type": "text/plain" } };

export default {
  fetch() {
    let body;
    const env = {
      response_set_body(pointer, size) { body = new Uint8Array(guest.memory.buffer, pointer, Number(size)).slice(); }
    };
    const guest = new WebAssembly.Instance(module, { env }).exports;
    guest.handle();
    return new Response(body, TYPE);
  }
};

// deno.mjs PORT
import process from "node:process";
import { answer, echo } from "./guest.mjs";
const TYPE = { headers: { "content-type": "text/plain" } };

Deno.serve({ port: +process.argv[2], hostname: "127.0.0.1", onListen() {} }, (request) =>
  request.method === "POST"
    ? request.bytes().then((body) => new Response(echo(body), TYPE))
    : new Response(answer(request.url.slice(request.url.indexOf("/", 8))), TYPE));

// A component of wasi:http in JavaScript: greets whom the query names, and answers POST with the body in capitals as it
// arrives. Below its path, /ticks answers in parts, /dice shows clock and random, /backend calls $BACKEND.
import { getEnvironment } from "wasi:cli/environment@0.2.10";

const text = { headers: { "content-type": "text/plain; charset=utf-8" } };

async function* ticks() {
  for (let count = 1; count <= 3; count++) {
    yield `tick ${count}\n`;
    await new Promise((done) => setTimeout(done, 100));
  }
}

function stream(parts) {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
  });
}

async function* capitals(body) {
  const decoder = new TextDecoder();
  for (const reader = body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true }).toUpperCase();
  }
}

function dice() {
  const [number] = crypto.getRandomValues(new Uint32Array(1));
  return `second ${Math.floor(Date.now() / 1000)}, a ${(number % 6) + 1}`;
}

async function backend() {
  const { BACKEND } = Object.fromEntries(getEnvironment());
  try {
    const answer = await fetch(BACKEND);
    return new Response(answer.body, { ...text, status: answer.status });
  } catch {
    return new Response("no answer of the backend", { ...text, status: 502 });
  }
}

async function handle(request) {
  const url = new URL(request.url);
  console.error(`JavaScript answers ${request.method}`);
  if (request.method === "POST") return new Response(stream(capitals(request.body)), text);
  if (url.pathname.endsWith("/ticks")) return new Response(stream(ticks()), text);
  if (url.pathname.endsWith("/dice")) return new Response(dice(), text);
  if (url.pathname.endsWith("/backend")) return backend();
  return new Response(`Hello, ${url.searchParams.get("name") ?? "world"}, from JavaScript`, text);
}

addEventListener("fetch", (event) => event.respondWith(handle(event.request)));

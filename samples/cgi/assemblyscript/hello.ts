// A CGI program in AssemblyScript: greets whom the query names, and answers POST with the body in capitals.

function variable(name: string): string {
  return process.env.has(name) ? process.env.get(name) : "";
}

function parameter(name: string, otherwise: string): string {
  const pairs = variable("QUERY_STRING").split("&");
  for (let i = 0; i < pairs.length; ++i) {
    if (pairs[i].startsWith(name + "=")) return pairs[i].substring(name.length + 1);
  }
  return otherwise;
}

// A piece at a time: a read returns what there is, a write what was taken, and 0 is the end.
function shout(): void {
  const buffer = new ArrayBuffer(4096);
  for (let size = process.stdin.read(buffer); size > 0; size = process.stdin.read(buffer)) {
    const piece = Uint8Array.wrap(buffer, 0, size);
    for (let i = 0; i < size; ++i) {
      if (piece[i] >= 0x61 && piece[i] <= 0x7a) piece[i] -= 0x20;
    }
    process.stdout.write(buffer.slice(0, size));
  }
}

process.stderr.write("AssemblyScript answers " + variable("REQUEST_METHOD") + "\n");
process.stdout.write("Content-Type: text/plain; charset=utf-8\n\n");
if (variable("REQUEST_METHOD") == "POST") {
  shout();
} else {
  process.stdout.write("Hello, " + parameter("name", "world") + ", from AssemblyScript");
}

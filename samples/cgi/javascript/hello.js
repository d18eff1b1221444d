// A CGI program in JavaScript: greets whom the query names, and answers POST with the body in capitals.
const method = std.getenv("REQUEST_METHOD");

function parameter(name) {
  const pairs = std.getenv("QUERY_STRING").split("&").map((pair) => pair.split("="));
  return pairs.find(([key]) => key === name)?.[1];
}

std.err.puts(`JavaScript answers ${method}\n`);
std.out.puts("Content-Type: text/plain; charset=utf-8\n\n");
if (method === "POST") {
  std.out.puts(std.in.readAsString().toUpperCase());
} else {
  std.out.puts(`Hello, ${decodeURIComponent(parameter("name") ?? "world")}, from JavaScript`);
}

// Reads its own variables: the `env` table of the application in the configuration.
// AssemblyScript keeps strings as UTF-16; the host speaks UTF-8, so every string is converted.

@external("env", "db_get")
declare function db_get(key: usize, keySize: i64, value: usize, valueSize: i64): i64;
@external("env", "response_set_status_line")
declare function response_set_status_line(status: i32, reason: usize, size: i64): void;
@external("env", "response_set_header")
declare function response_set_header(name: usize, nameSize: i64, value: usize, valueSize: i64): void;
@external("env", "response_set_body")
declare function response_set_body(body: usize, size: i64): void;

const utf8 = (text: string): ArrayBuffer => String.UTF8.encode(text);
const at = (bytes: ArrayBuffer): usize => changetype<usize>(bytes);

/** The variable's value, or null when the configuration does not name it. */
function variable(name: string): string | null {
  const key = utf8(name);
  const size = db_get(at(key), key.byteLength, 0, 0); // no room yet: only asks how long it is
  if (size < 0) return null;
  const value = new ArrayBuffer(size as i32);
  db_get(at(key), key.byteLength, at(value), size);
  return String.UTF8.decode(value);
}

/** The variable as a line of the answer, missing or not. */
function line(name: string): string {
  const value = variable(name);
  return value === null ? `${name} is not set\n` : `${name} = ${value}\n`;
}

export function handle(): void {
  const reason = utf8("OK");
  response_set_status_line(200, at(reason), reason.byteLength);
  const header = utf8("content-type");
  const type = utf8("text/plain; charset=utf-8");
  response_set_header(at(header), header.byteLength, at(type), type.byteLength);
  const body = utf8(line("greeting") + line("name") + line("colour"));
  response_set_body(at(body), body.byteLength);
}

//! A CGI program in Zig: greets whom the query names, and answers POST with the body in capitals.
const std = @import("std");

pub fn main(init: std.process.Init) !void {
    const method = init.environ_map.get("REQUEST_METHOD") orelse "";
    std.debug.print("Zig answers {s}\n", .{method});

    var buffer: [4096]u8 = undefined;
    var stdout = std.Io.File.stdout().writerStreaming(init.io, &buffer);
    const out = &stdout.interface;
    try out.writeAll("Content-Type: text/plain; charset=utf-8\n\n");
    if (std.mem.eql(u8, method, "POST")) {
        try shout(init.io, out);
    } else {
        const query = init.environ_map.get("QUERY_STRING") orelse "";
        try out.print("Hello, {s}, from Zig", .{parameter(query, "name") orelse "world"});
    }
    try out.flush();
}

fn shout(io: std.Io, out: *std.Io.Writer) !void {
    var buffer: [4096]u8 = undefined;
    var stdin = std.Io.File.stdin().readerStreaming(io, &buffer);
    while (stdin.interface.takeByte()) |byte| {
        try out.writeByte(std.ascii.toUpper(byte));
    } else |end| if (end != error.EndOfStream) return end;
}

fn parameter(query: []const u8, name: []const u8) ?[]const u8 {
    var pairs = std.mem.splitScalar(u8, query, '&');
    while (pairs.next()) |pair| {
        var sides = std.mem.splitScalar(u8, pair, '=');
        if (std.mem.eql(u8, sides.first(), name)) return sides.rest();
    }
    return null;
}

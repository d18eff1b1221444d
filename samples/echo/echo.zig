//! Answers with what it was asked: method, path, query, two headers, two route parameters and the body.

const std = @import("std");

extern "env" fn request_get_method(buffer: [*]u8, size: u64) i64;
extern "env" fn request_get_path(buffer: [*]u8, size: u64) i64;
extern "env" fn request_get_query(buffer: [*]u8, size: u64) i64;
extern "env" fn request_get_header(name: [*]const u8, name_size: u64, buffer: [*]u8, size: u64) i64;
extern "env" fn request_get_param(name: [*]const u8, name_size: u64, buffer: [*]u8, size: u64) i64;
extern "env" fn request_get_body(offset: u64, buffer: [*]u8, size: u64) i64;
extern "env" fn response_set_status_line(status: i32, reason: [*]const u8, size: u64) void;
extern "env" fn response_set_header(name: [*]const u8, name_size: u64, value: [*]const u8, value_size: u64) void;
extern "env" fn response_set_body(body: [*]const u8, size: u64) void;

/// Grows when it must. Nothing is ever freed: the whole memory is gone when the invocation ends.
const Text = struct {
    bytes: std.ArrayList(u8) = .empty,

    /// Room for `size` more bytes at the end.
    fn room(text: *Text, size: usize) []u8 {
        return text.bytes.addManyAsSlice(std.heap.wasm_allocator, size) catch @trap();
    }

    fn add(text: *Text, part: []const u8) void {
        @memcpy(text.room(part.len), part);
    }
};

/// Every request function returns the full length and writes at most the buffer:
/// ask for the length with no room first, then make room and ask again.
fn line(text: *Text, label: []const u8, comptime get: anytype, arguments: anytype) void {
    var nothing: [0]u8 = .{};
    text.add(label);
    const size = @call(.auto, get, arguments ++ .{ @as([*]u8, &nothing), 0 });
    if (size < 0) {
        text.add("(none)");
    } else {
        const value = text.room(@intCast(size));
        _ = @call(.auto, get, arguments ++ .{ value.ptr, value.len });
    }
    text.add("\n");
}

export fn handle() void {
    var text: Text = .{};
    line(&text, "method ", request_get_method, .{});
    line(&text, "path ", request_get_path, .{});
    line(&text, "query ", request_get_query, .{});
    line(&text, "user-agent ", request_get_header, .{ "user-agent", 10 });
    line(&text, "x-demo ", request_get_header, .{ "x-demo", 6 });
    line(&text, "person ", request_get_param, .{ "person", 6 }); // of the route "/people/:person"
    line(&text, "rest ", request_get_param, .{ "...", 3 }); // of the route "/echo/..."
    line(&text, "body ", request_get_body, .{0});

    response_set_status_line(200, "OK", 2);
    header("content-type", "text/plain; charset=utf-8");
    header("x-content-type-options", "nosniff"); // a stranger's words are never a page
    response_set_body(text.bytes.items.ptr, text.bytes.items.len);
}

fn header(name: []const u8, value: []const u8) void {
    response_set_header(name.ptr, name.len, value.ptr, value.len);
}

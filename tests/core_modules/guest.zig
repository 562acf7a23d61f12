//! A controller in Zig that uses its standard library, by the C bindings of wit-bindgen.

const std = @import("std");
const c = @cImport(@cInclude("guest.h"));

export fn exports_carya_host_plain_controller_plain(
    ret: *c.exports_carya_host_plain_controller_response_t,
    err: *c.guest_string_t,
) bool {
    var path: c.guest_string_t = undefined;
    c.carya_host_request_path(&path);
    defer c.guest_string_free(&path);
    std.debug.print("asked for {s}\n", .{path.ptr[0..path.len]});

    const text = std.fmt.allocPrint(std.heap.c_allocator, "{s} has {d} bytes", .{ path.ptr[0..path.len], path.len }) catch {
        c.guest_string_dup(err, "no memory");
        return false;
    };
    ret.* = std.mem.zeroes(c.exports_carya_host_plain_controller_response_t);
    ret.status = 200;
    ret.body.tag = c.CARYA_HOST_TYPES_BODY_TEXT;
    ret.body.val.text = .{ .ptr = text.ptr, .len = text.len };
    return true;
}

/* Cookies, messages that survive one redirect, and entity tags. Include carya_guest.h before. */
#ifndef CARYA_WEB_H
#define CARYA_WEB_H

#include "carya_guest.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"

/* --- Cookies --- */

/* The attributes of a cookie that a response sets. JavaScript cannot read the cookie (`HttpOnly`), and other sites do not
 * send it with their requests (`SameSite=Lax`). */
typedef struct {
    /* The path to which the browser sends the cookie. NULL is all paths. */
    const char *path;
    /* Whether the browser deletes the cookie after `max_age` seconds, and not at the end of the session. */
    bool has_max_age;
    unsigned max_age;
    /* Whether the browser sends the cookie only over HTTPS. */
    bool is_secure;
} carya_cookie_options;

/* Adds a cookie to a response. Bytes of the value that a cookie cannot contain are percent-encoded. */
static carya_response carya_with_cookie(
    carya_response response, const char *name, carya_text value, carya_cookie_options options
) {
    carya_builder cookie = { 0 };
    carya_append(&cookie, carya_format("%s=", name));
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        bool is_plain = c && (strchr("-._~", c) || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'));
        carya_append(&cookie, carya_format(is_plain ? "%c" : "%%%02X", c));
    }
    carya_append(&cookie, carya_format("; Path=%s", options.path ? options.path : "/"));
    if (options.has_max_age) carya_append(&cookie, carya_format("; Max-Age=%u", options.max_age));
    carya_append(&cookie, carya_str("; HttpOnly; SameSite=Lax"));
    if (options.is_secure) carya_append(&cookie, carya_str("; Secure"));
    return carya_with_header(response, "set-cookie", cookie.text);
}

static int carya__digit(char c) {
    const char *digits = "0123456789abcdef", *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return digit ? (int)(digit - digits) : -1;
}

/* Sets `value` to the first cookie of a name, percent-decoded as carya_with_cookie encodes it. A value that is not UTF-8
 * afterwards stays as it is. Returns false if there is no such cookie. */
static bool carya_cookie(const char *name, carya_text *value) {
    carya_text sent;
    if (!carya__look_up(carya_host_request_cookie, name, &sent)) return false;
    char *bytes = carya_alloc(sent.len + 1);
    carya_text decoded = { bytes, 0 };
    for (size_t i = 0; i < sent.len; i++) {
        int high = sent.ptr[i] == '%' && i + 2 < sent.len ? carya__digit(sent.ptr[i + 1]) : -1;
        int low = high >= 0 ? carya__digit(sent.ptr[i + 2]) : -1;
        bytes[decoded.len++] = low < 0 ? sent.ptr[i] : (char)(high << 4 | low);
        if (low >= 0) i += 2;
    }
    *value = carya_is_utf8(decoded) ? decoded : sent;
    return true;
}

/* --- Messages that survive one redirect --- */

/* carya_redirect, with a message for the next page. The message is in a cookie that lives for a minute. */
static carya_response carya_redirect_with_flash(carya_text location, carya_text message) {
    carya_cookie_options options = { .has_max_age = true, .max_age = 60 };
    return carya_with_cookie(carya_redirect(location), "flash", message, options);
}

/* Sets `message` to the message of the last redirect. Returns false if there is none. A client can forge the message:
 * escape it. */
static bool carya_flash(carya_text *message) { return carya_cookie("flash", message); }

/* Deletes the message, so that the browser shows it once. */
static carya_response carya_forget_flash(carya_response response) {
    carya_text message;
    carya_cookie_options options = { .has_max_age = true };
    return carya_flash(&message) ? carya_with_cookie(response, "flash", carya_str(""), options) : response;
}

/* --- Entity tags --- */

/* Returns the entity tag of a version. Characters that a tag cannot contain become `_`. */
static carya_text carya__etag(carya_text version) {
    carya_builder tag = { 0 };
    carya_append(&tag, carya_str("\""));
    for (size_t i = 0; i < version.len; i++) {
        unsigned char c = (unsigned char)version.ptr[i];
        bool continues = (c & 0xc0) == 0x80; /* A character has one byte that does not continue it. */
        if (!continues) carya_append(&tag, carya_format("%c", c > ' ' && c <= '~' && c != '"' ? c : '_'));
    }
    carya_append(&tag, carya_str("\""));
    return tag.text;
}

/* Returns whether the list of tags in a header field contains a tag. `*` stands for all tags. */
static bool carya__has_tag(carya_text list, carya_text tag, bool is_weak) {
    const char *at = list.ptr, *end = list.ptr + list.len;
    while (at <= end) {
        const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL, *stop = comma ? comma : end;
        const char *next = stop + 1;
        while (at < stop && (*at == ' ' || *at == '\t')) at++;
        while (at < stop && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
        if (is_weak && stop - at >= 2 && memcmp(at, "W/", 2) == 0) at += 2;
        size_t length = (size_t)(stop - at);
        if ((length == 1 && *at == '*') || (length == tag.len && memcmp(at, tag.ptr, length) == 0)) return true;
        at = next;
    }
    return false;
}

/* Adds the entity tag of a version to a response. If the client has this version already (`if-none-match`), the response
 * is 304 and has no body. */
static carya_response carya_tagged(carya_text version, carya_response response) {
    carya_text tag = carya__etag(version), held, method = carya_method();
    carya_host_response *answer = &response.answer;
    /* `if-none-match` compares weakly (RFC 9110, 13.1.2), and 304 only answers a request that reads. */
    if (answer->status >= 200 && answer->status < 300 && (carya_is(method, "GET") || carya_is(method, "HEAD"))
        && carya_header("if-none-match", &held) && carya__has_tag(held, tag, true)) {
        answer->status = 304;
        answer->body = (carya_host_body){ .tag = CARYA_BODY_BYTES };
    }
    return carya_with_header(response, "etag", tag);
}

/* Checks that the client has changed the present version (`if-match`). Otherwise returns false and sets `refusal` to a
 * response with 412, or with 428 if the request has no `if-match`. */
static bool carya_require_version(carya_text version, carya_response *refusal) {
    carya_text tag = carya__etag(version), held;
    if (!carya_header("if-match", &held)) {
        *refusal = carya_problem(428, "send the header `if-match` with the version that you read");
        return false;
    }
    /* `if-match` compares strongly (RFC 9110, 13.1.1). */
    if (carya__has_tag(held, tag, false)) return true;
    *refusal = carya_with_header(carya_problem(412, "this has changed since you read it"), "etag", tag);
    return false;
}

#pragma clang diagnostic pop
#endif

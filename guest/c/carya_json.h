/* Reads JSON (RFC 8259) from the body of a request. Include carya_guest.h before. */
#ifndef CARYA_JSON_H
#define CARYA_JSON_H

#include <strings.h>

#include "carya_guest.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"

#define CARYA_JSON_MAX_DEPTH 127

typedef enum {
    CARYA_JSON_NULL,
    CARYA_JSON_BOOL,
    CARYA_JSON_NUMBER,
    CARYA_JSON_TEXT,
    CARYA_JSON_LIST,
    CARYA_JSON_OBJECT
} carya_json_kind;

/* A value. Members of an object and elements of a list are a chain. */
typedef struct carya_json_value {
    carya_json_kind kind;
    bool boolean;
    double number;
    /* A text, decoded. */
    carya_text text;
    /* Name in the object that contains the value. */
    carya_text name;
    struct carya_json_value *first, *next;
} carya_json_value;

typedef struct {
    const char *at, *end;
    int depth;
} carya__reader;

static void carya__skip(carya__reader *r) {
    while (r->at < r->end && strchr(" \t\n\r", *r->at) && *r->at) r->at++;
}

static bool carya__next_is(carya__reader *r, char c) {
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool carya__word(carya__reader *r, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length)) return false;
    r->at += length;
    return true;
}

static bool carya__hex(carya__reader *r, uint32_t *value) {
    if (r->end - r->at < 4) return false;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        const char *digits = "0123456789abcdef", *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
        if (!digit) return false;
        *value = *value << 4 | (uint32_t)(digit - digits);
    }
    return true;
}

/* Reads a string after its first quote. */
static bool carya__string(carya__reader *r, carya_text *text) {
    char *copy = carya_alloc((size_t)(r->end - r->at) + 1), *to = copy;
    while (r->at < r->end) {
        unsigned char c = (unsigned char)*r->at;
        if (c == '"') {
            r->at++;
            *to = 0;
            *text = (carya_text){ copy, (size_t)(to - copy) };
            return true;
        }
        if (c < 0x20) return false;
        if (c != '\\') {
            size_t length = carya__utf8((const unsigned char *)r->at, (const unsigned char *)r->end);
            if (length == 0) return false;
            memcpy(to, r->at, length);
            to += length;
            r->at += length;
            continue;
        }
        if (++r->at == r->end) return false;
        uint32_t number, low;
        switch (*r->at++) {
        case '"': *to++ = '"'; break;
        case '\\': *to++ = '\\'; break;
        case '/': *to++ = '/'; break;
        case 'b': *to++ = '\b'; break;
        case 'f': *to++ = '\f'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 't': *to++ = '\t'; break;
        case 'u':
            if (!carya__hex(r, &number) || (number >= 0xdc00 && number < 0xe000)) return false;
            if (number >= 0xd800 && number < 0xdc00) {
                if (!carya__word(r, "\\u") || !carya__hex(r, &low) || low < 0xdc00 || low >= 0xe000) return false;
                number = 0x10000 + ((number - 0xd800) << 10) + (low - 0xdc00);
            }
            if (number < 0x80) {
                *to++ = (char)number;
            } else if (number < 0x800) {
                *to++ = (char)(0xc0 | number >> 6);
                *to++ = (char)(0x80 | (number & 0x3f));
            } else if (number < 0x10000) {
                *to++ = (char)(0xe0 | number >> 12);
                *to++ = (char)(0x80 | (number >> 6 & 0x3f));
                *to++ = (char)(0x80 | (number & 0x3f));
            } else {
                *to++ = (char)(0xf0 | number >> 18);
                *to++ = (char)(0x80 | (number >> 12 & 0x3f));
                *to++ = (char)(0x80 | (number >> 6 & 0x3f));
                *to++ = (char)(0x80 | (number & 0x3f));
            }
            break;
        default: return false;
        }
    }
    return false;
}

static size_t carya__digits(carya__reader *r) {
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return (size_t)(r->at - from);
}

static bool carya__number(carya__reader *r, double *number) {
    const char *from = r->at;
    carya__next_is(r, '-');
    const char *whole = r->at;
    size_t digits = carya__digits(r);
    if (digits == 0 || (digits > 1 && *whole == '0')) return false;
    if (carya__next_is(r, '.') && carya__digits(r) == 0) return false;
    if (carya__next_is(r, 'e') || carya__next_is(r, 'E')) {
        if (!carya__next_is(r, '+')) carya__next_is(r, '-');
        if (carya__digits(r) == 0) return false;
    }
    /* `strtod` needs a zero behind the number. */
    carya_text text = carya_format("%.*s", (int)(r->at - from), from);
    *number = strtod(text.ptr, NULL);
    return isfinite(*number);
}

static carya_json_value *carya__value(carya__reader *r) {
    carya_json_value *value = memset(carya_alloc(sizeof *value), 0, sizeof *value);
    carya__skip(r);
    if (r->at == r->end) return NULL;
    char c = *r->at;
    if (c == '"') {
        r->at++;
        value->kind = CARYA_JSON_TEXT;
        return carya__string(r, &value->text) ? value : NULL;
    }
    if (c == '{' || c == '[') {
        char close = c == '{' ? '}' : ']';
        carya_json_value **last = &value->first;
        value->kind = c == '{' ? CARYA_JSON_OBJECT : CARYA_JSON_LIST;
        r->at++;
        if (++r->depth > CARYA_JSON_MAX_DEPTH) return NULL;
        carya__skip(r);
        if (!carya__next_is(r, close)) {
            do {
                carya_text name = { "", 0 };
                carya__skip(r);
                if (c == '{') {
                    if (!carya__next_is(r, '"') || !carya__string(r, &name)) return NULL;
                    carya__skip(r);
                    if (!carya__next_is(r, ':')) return NULL;
                }
                carya_json_value *member = carya__value(r);
                if (!member) return NULL;
                member->name = name;
                *last = member;
                last = &member->next;
                carya__skip(r);
            } while (carya__next_is(r, ','));
            if (!carya__next_is(r, close)) return NULL;
        }
        r->depth--;
        return value;
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        value->kind = CARYA_JSON_NUMBER;
        return carya__number(r, &value->number) ? value : NULL;
    }
    if (carya__word(r, "null")) return value;
    value->kind = CARYA_JSON_BOOL;
    value->boolean = c == 't';
    return carya__word(r, "true") || carya__word(r, "false") ? value : NULL;
}

/* Parses a text. Returns NULL if it is not JSON. */
static carya_json_value *carya_parse(carya_text text) {
    carya__reader reader = { text.ptr, text.ptr + text.len, 0 };
    carya_json_value *value = carya__value(&reader);
    carya__skip(&reader);
    return reader.at == reader.end ? value : NULL;
}

/* Parses the body. If it is not JSON, sets `refusal` to a response with 400 or 415. Browsers send the media type of JSON
 * to another site only if the site permits it, so a form of a foreign page cannot reach a handler that calls this. */
static bool carya_parse_json(const carya_json_value **value, carya_response *refusal) {
    carya_text type = { "", 0 };
    carya_header("content-type", &type);
    /* The media type ends before its parameters. */
    const char *end = memchr(type.ptr, ';', type.len);
    if (end) type.len = (size_t)(end - type.ptr);
    while (type.len && (type.ptr[type.len - 1] == ' ' || type.ptr[type.len - 1] == '\t')) type.len--;
    bool is_application = type.len > 12 && strncasecmp(type.ptr, "application/", 12) == 0;
    bool is_json = type.len == 16 && strncasecmp(type.ptr + 12, "json", 4) == 0;
    if (!is_application || !(is_json || strncasecmp(type.ptr + type.len - 5, "+json", 5) == 0)) {
        *refusal = carya_problem(415, "send JSON with the header `content-type: application/json`");
        return false;
    }
    *value = carya_parse(carya_body());
    if (!*value) *refusal = carya_problem(400, "the body is not JSON");
    return *value;
}

/* Returns the last member of an object with this name, or NULL. */
static const carya_json_value *carya_member(const carya_json_value *object, const char *name) {
    const carya_json_value *found = NULL;
    for (const carya_json_value *member = object->first; member; member = member->next) {
        if (carya_is(member->name, name)) found = member;
    }
    return found;
}

/* Returns the number of characters of a text. */
static size_t carya_characters(carya_text text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return count;
}

/* Sets `value` to a number from `min` to `max` without a fraction, such as 5 or 5.0. Returns false for another value. */
static bool carya_whole(const carya_json_value *json, int64_t min, int64_t max, int64_t *value) {
    if (!json || json->kind != CARYA_JSON_NUMBER || json->number != floor(json->number)) return false;
    if (json->number < (double)min || json->number > (double)max) return false;
    *value = (int64_t)json->number;
    return true;
}

#pragma clang diagnostic pop
#endif

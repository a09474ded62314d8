/* The syntax of JSON, as strictly as Python reads it. Whatever is unusual or wrong is left to Python: then nothing is
 * passed, or NULL is answered, whether something was raised or not. */

#include "json.h"
#include "core.h"
#include <stdlib.h>

void pass_space(text *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\t' || *json->at == '\r'))
        json->at++;
}

bool pass(text *json, char expected) {
    pass_space(json);
    if (json->at == json->end || *json->at != expected) return false;
    json->at++;
    return true;
}

bool pass_word(text *json, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0) return false;
    json->at += length;
    return true;
}

bool pass_text(text *json, bool *is_plain) {
    *is_plain = true;
    for (; json->at < json->end; json->at++) {
        unsigned char byte = (unsigned char)*json->at;
        if (byte == '"') {
            json->at++;
            return true;
        }
        if (byte < 0x20) return false;
        if (byte == '\\') {
            *is_plain = false;
            if (++json->at == json->end) return false;
        }
    }
    return false;
}

static bool hex_of(const char *at, unsigned *code) {
    *code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char digit = (unsigned char)at[i];
        int value = digit >= '0' && digit <= '9'   ? digit - '0'
                    : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                    : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                                   : -1;
        if (value < 0) return false;
        *code = *code << 4 | (unsigned)value;
    }
    return true;
}

/* Appends a code point as UTF-8; answers where it ends. */
static char *append_code(char *out, unsigned code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 63));
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    }
    return out;
}

/* A text with its escapes resolved. What half a pair would be is left to Python, as what is no escape is. */
static PyObject *unescaped(const char *at, const char *end) {
    char *bytes = malloc((size_t)(end - at));
    if (!bytes) return NULL;
    char *out = bytes;
    PyObject *made = NULL;
    while (at < end) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        static const char SAID[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
        const char *simple = at[1] ? strchr(SAID, at[1]) : NULL;
        if (simple) {
            *out++ = MEANT[simple - SAID];
            at += 2;
            continue;
        }
        unsigned code, low;
        if (at[1] != 'u' || end - at < 6 || !hex_of(at + 2, &code)) goto done;
        at += 6;
        if (code >= 0xD800 && code < 0xE000) {
            bool is_pair = code < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u' && hex_of(at + 2, &low) &&
                           low >= 0xDC00 && low < 0xE000;
            if (!is_pair) goto done;
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            at += 6;
        }
        out = append_code(out, code);
    }
    made = PyUnicode_DecodeUTF8(bytes, out - bytes, NULL);
done:
    free(bytes);
    return made;
}

PyObject *read_text(text *json) {
    const char *start = json->at;
    bool is_plain;
    if (!pass_text(json, &is_plain)) return NULL;
    const char *end = json->at - 1;
    return is_plain ? PyUnicode_DecodeUTF8(start, end - start, NULL) : unescaped(start, end);
}

static bool is_digit(const text *json) { return json->at < json->end && *json->at >= '0' && *json->at <= '9'; }

static bool pass_digits(text *json) {
    if (!is_digit(json)) return false;
    while (is_digit(json))
        json->at++;
    return true;
}

/* Passes a number. */
static bool pass_number(text *json, bool *is_integer) {
    if (json->at < json->end && *json->at == '-') json->at++;
    if (json->at < json->end && *json->at == '0') {
        json->at++;
    } else if (!pass_digits(json)) {
        return false;
    }
    *is_integer = true;
    if (json->at < json->end && *json->at == '.') {
        *is_integer = false;
        json->at++;
        if (!pass_digits(json)) return false;
    }
    if (json->at < json->end && (*json->at == 'e' || *json->at == 'E')) {
        *is_integer = false;
        json->at++;
        if (json->at < json->end && (*json->at == '+' || *json->at == '-')) json->at++;
        if (!pass_digits(json)) return false;
    }
    return true;
}

PyObject *read_number(text *json, bool as_integer, bool as_real) {
    const char *start = json->at;
    bool is_integer;
    if (!pass_number(json, &is_integer)) return NULL;
    if (is_integer && as_integer) {
        bool is_negative = *start == '-';
        long long number = 0;
        for (const char *at = start + is_negative; at < json->end && at < json->at; at++) {
            int digit = *at - '0';
            /* Downwards, where there is one more of them. */
            if (number < (INT64_MIN + digit) / 10) return NULL;
            number = number * 10 - digit;
        }
        if (!is_negative && number == INT64_MIN) return NULL;
        return PyLong_FromLongLong(is_negative ? number : -number);
    }
    /* An integer of more digits than a real holds is rounded as Python does it, by Python. */
    if (!as_real || (is_integer && json->at - start > 15)) return NULL;
    char *end;
    double number = PyOS_string_to_double(start, &end, NULL);
    if (end != json->at || number - number != 0) return NULL;
    return PyFloat_FromDouble(is_integer && number == 0 ? 0 : number);
}

bool pass_value(text *json) {
    bool ignored;
    pass_space(json);
    if (json->at == json->end) return false;
    char first = *json->at;
    if (first == 't') return pass_word(json, "true");
    if (first == 'f') return pass_word(json, "false");
    if (first == 'n') return pass_word(json, "null");
    if (first != '"' && first != '[' && first != '{') return pass_number(json, &ignored);
    json->at++;
    if (first == '"') {
        /* What is wrong inside would be refused by whoever reads all of it. */
        const char *start = json->at;
        bool is_plain;
        if (!pass_text(json, &is_plain)) return false;
        PyObject *read =
            is_plain ? PyUnicode_DecodeUTF8(start, json->at - 1 - start, NULL) : unescaped(start, json->at - 1);
        drop(read);
        return read != NULL;
    }
    char last = first == '[' ? ']' : '}';
    if (pass(json, last)) return true;
    if (++json->depth > NESTED_MAX) return false;
    do {
        if (first == '{') {
            if (!pass(json, '"')) return false;
            json->at--;
            if (!pass_value(json) || !pass(json, ':')) return false;
        }
        if (!pass_value(json)) return false;
    } while (pass(json, ','));
    json->depth--;
    return pass(json, last);
}

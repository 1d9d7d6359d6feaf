#include "text/byte_level.h"

#include "text/utf8.h"

#define N_HIDDEN 68 /* bytes that have no visible character of their own */

static bool is_visible(uint32_t byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174);
}

/* 0..32 are the first 33 hidden bytes, then 127..160, then 173. */
static uint32_t hidden_number(uint32_t byte)
{
    if (byte <= 32)
        return byte;
    return byte == 173 ? N_HIDDEN - 1 : byte - 127 + 33;
}

static uint32_t hidden_byte(uint32_t number)
{
    if (number <= 32)
        return number;
    return number == N_HIDDEN - 1 ? 173 : number - 33 + 127;
}

void byte_level_spell(struct text_buf *out, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t byte = (unsigned char)bytes[i];
        uint32_t code = is_visible(byte) ? byte : 256 + hidden_number(byte);
        char two[2] = {(char)(0xC0 | code >> 6), (char)(0x80 | (code & 0x3F))};

        if (code < 0x80)
            text_buf_add(out, (const char[]){(char)code}, 1);
        else
            text_buf_add(out, two, 2);
    }
}

bool byte_level_read(struct text_buf *out, const char *text, size_t n)
{
    size_t before = out->n;

    for (size_t i = 0; i < n;) {
        size_t len = utf8_len(text + i, n - i);
        uint32_t code = len ? utf8_code(text + i, len) : UINT32_MAX;
        char byte = (char)code;

        if (code >= 256 && code - 256 < N_HIDDEN) {
            byte = (char)hidden_byte(code - 256);
        } else if (code >= 256 || !is_visible(code)) {
            out->n = before;
            return false;
        }
        text_buf_add(out, &byte, 1);
        i += len;
    }
    return true;
}

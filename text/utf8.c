#include "text/utf8.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

/* Bytes that a lead byte announces; 0 where it cannot lead. */
static size_t announced(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if (lead >= 0xE0 && lead <= 0xEF)
        return 3;
    if (lead >= 0xF0 && lead <= 0xF4)
        return 4;
    return 0;
}

/* The second byte rules out overlong forms, surrogates and codes above
 * U+10FFFF. */
static bool second_is_good(unsigned char lead, unsigned char second)
{
    unsigned char low = 0x80, high = 0xBF;

    if (lead == 0xE0)
        low = 0xA0;
    else if (lead == 0xED)
        high = 0x9F;
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F;
    return second >= low && second <= high;
}

enum utf8_state utf8_state(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t want = n > 0 ? announced(u[0]) : 0;

    if (want == 0 || n > want)
        return UTF8_BAD;
    if (n > 1 && !second_is_good(u[0], u[1]))
        return UTF8_BAD;
    for (size_t i = 2; i < n; i++)
        if ((u[i] & 0xC0) != 0x80)
            return UTF8_BAD;
    return n == want ? UTF8_WHOLE : UTF8_PART;
}

size_t utf8_len(const char *s, size_t n)
{
    size_t want = n > 0 ? announced((unsigned char)s[0]) : 0;

    return want > 0 && want <= n && utf8_state(s, want) == UTF8_WHOLE ? want : 0;
}

bool utf8_check(const char *s, size_t n, size_t *bad_at)
{
    for (size_t i = 0; i < n;) {
        size_t len = (unsigned char)s[i] < 0x80 ? 1 : utf8_len(s + i, n - i);

        if (len == 0) {
            *bad_at = i;
            return false;
        }
        i += len;
    }
    return true;
}

uint32_t utf8_code(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    static const unsigned char lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = u[0] & lead_mask[len];

    for (size_t i = 1; i < len; i++)
        code = code << 6 | (u[i] & 0x3F);
    return code;
}

bool utf8_is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || code == 0x20 || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool utf8_is_word(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);

    switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* joiners, and circled letters, which count as alphabetic */
        return code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
               (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
               (code >= 0x1F170 && code <= 0x1F189);
    }
}

size_t utf8_last(const char *s, size_t n)
{
    size_t at = n - 1;

    while (at > 0 && ((unsigned char)s[at] & 0xC0) == 0x80)
        at--;
    return at;
}

/* False for characters that steer a terminal, or that hide or turn around what
 * stands beside them. */
static bool is_shown(uint32_t code)
{
    return code >= 0x20 && (code < 0x7F || code > 0x9F) && (code < 0x200B || code > 0x200F) &&
           (code < 0x2028 || code > 0x202E) && (code < 0x2060 || code > 0x206F) && code != 0xFEFF;
}

const char *utf8_show(char *out, const char *s, size_t n)
{
    size_t w = 0;

    for (size_t i = 0; i < n;) {
        size_t len = utf8_len(s + i, n - i);
        bool plain = len > 0 && is_shown(utf8_code(s + i, len));

        if (w + 8 > UTF8_SHOW_BYTES) { /* room for one more and the dots */
            memcpy(out + w, "...", 3);
            w += 3;
            break;
        }
        if (plain) {
            memcpy(out + w, s + i, len);
            w += len;
            i += len;
        } else {
            w += (size_t)snprintf(out + w, 5, "\\x%02X", (unsigned char)s[i]);
            i++;
        }
    }
    out[w] = '\0';
    return out;
}

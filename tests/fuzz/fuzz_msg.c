/*
 * fuzz_msg.c - whatever arrives, msg_unpack refuses it or gives a message that
 * packs to the very same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    struct err err = {{0}};
    struct msg msg;
    uint8_t *again = NULL;
    size_t n_again = 0;
    enum status st = msg_unpack(&msg, bytes, n_bytes, &err);

    if (st != ST_OK) {
        CHECK(st == ST_CORRUPT || st == ST_VERSION);
        CHECK(err.text[0] != '\0');
        return 0;
    }
    CHECK(msg_pack(&msg, &again, &n_again, &err) == ST_OK);
    CHECK(n_again == n_bytes && memcmp(again, bytes, n_bytes) == 0);
    free(again);
    msg_release(&msg);
    return 0;
}
